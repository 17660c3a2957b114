"""The linter finds what is there, line by line, and says nothing of what is sound."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from icapd.data import shared
from icapd.policy import load_policy
from icapd.policy.lint import lint
from tests.policy.asking import policy
from tests.policy.linting import locate

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = "action: block"
MOVED = 'action: {redirect: "https://new.example/"}'
SPLICE = "tls:\n  - {when: {host: [bank.example]}, action: splice}\n"


SOUND = ["default", "examples/five-rules", "examples/school", "examples/company", "examples/guest"]


@pytest.mark.parametrize("name", [*SOUND, "examples/kiosk", "advice/page-on-connect"])
def test_there_is_no_finding_on_shipped_policies(name: str) -> None:
    file = shared("rules") / f"{name}.yaml"
    assert lint(load_policy(file), locate) == ()  # type: ignore[arg-type]  # a checkout's file is a Path


@pytest.mark.parametrize(
    ("name", "code"), [("exclude-connect", "excludes-connect"), ("bypass-connect", "bypasses-connect")]
)
def test_the_advice_is_told_its_cost(name: str, code: str) -> None:
    file = shared("rules") / "advice" / f"{name}.yaml"
    found = lint(load_policy(file), locate)  # type: ignore[arg-type]
    assert {one.code for one in found} == {code}
    assert all("tunnel" in one.why or "CONNECT" in one.why for one in found)


def test_five_thousand_rules_take_a_second_or_so(tmp_path: Path) -> None:
    lines = ["access:"]
    for n in range(0, 5000, 5):
        lines += [
            f"  - {{when: {{host: [h{n}.example, g{n}.example]}}, action: block}}",
            f"  - {{when: {{url: [https://i{n}.example/p]}}, action: block}}",
            f"  - {{when: {{host: [j{n}.example], client: [10.{n % 250}.0.0/16]}}, {MOVED}}}",
            f"  - {{when: {{host: [k{n}.example], user: [u{n}]}}, unless: [{{method: [POST]}}], action: allow}}",
            f"  - {{when: {{host: [l{n}.example], mime: [video/x{n}]}}, action: block}}",
        ]
    loaded = policy(tmp_path, "\n".join(lines))
    begun = time.process_time()
    found = lint(loaded, locate)
    assert time.process_time() - begun < 10  # about 1 s; the machine may be busy, or another
    assert found == ()
