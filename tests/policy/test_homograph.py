"""Names that look like another, and those that are merely similar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.errors import ConfigErrors
from icapd.policy.homograph import skeleton
from tests.policy.asking import outcome, policy, transaction

if TYPE_CHECKING:
    from pathlib import Path

RULE = "access:\n- {name: fake, when: {homograph: [apple.test, gooogle.test, modern.test]}, action: block}\n"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(
            (host, "block: fake")
            for host in (
                *(
                    "\u0430pple.test",
                    "xn--pple-43d.test",
                    "www.\u0430pple.test",
                    "\u0430\u0440\u0440\u04cf\u0435.test",
                ),
                *(
                    "app1e.test",
                    "\u03b1pple.test",
                    "\u1ea1pple.test",
                    "appl\u0117.test",
                    "g0oogle.test",
                    "modem.test",
                ),
            )
        ),
        *(
            (host, "allow")
            for host in (
                *(
                    "apple.test",
                    "www.apple.test",
                    "apfel.test",
                    "aple.test",
                    "apples.test",
                    "apple.test.example",
                ),
                *("APPLE.test", "\uff41pple.test", "10.0.0.1", "test", "pple.test"),
            )
        ),
    ],
)
def test_only_a_likeness_matches(tmp_path: Path, host: str, expected: str) -> None:
    assert outcome(policy(tmp_path, RULE), transaction(target=f"http://{host}/")) == expected


def test_a_likeness_lets_nothing_out(tmp_path: Path) -> None:
    for text in (
        "access:\n- {name: a, when: {homograph: [a.test]}, action: allow}",
        "bypass:\n- {name: a, when: {homograph: [a.test]}}",
        "access:\n- {name: a, unless: [{homograph: [a.test]}], action: block}",
    ):
        with pytest.raises(ConfigErrors, match="policy.yaml:2: homograph: a name that looks like another"):
            policy(tmp_path, text)


def test_a_skeleton_is_the_same_for_what_looks_the_same() -> None:
    assert skeleton("xn--pple-43d.test") == skeleton("apple.test")
    assert skeleton("xn--zzzz.test")  # no punycode: left as it is
