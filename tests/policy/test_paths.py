"""A path on any host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.policy.paths import path_key
from tests.policy.asking import LAX, NO, UNKNOWN, YES, both, early, outcome, policy, transaction

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.policy.match import Truth


@pytest.mark.parametrize(
    ("value", "tail", "expected"),
    [
        ("/admin", "/admin", YES),
        ("/admin", "/admin/", YES),
        ("/admin/", "/admin", YES),
        ("/admin", "/admin/x?q", YES),
        ("/admin", "/administrator", NO),
        ("/admin", "/x/admin", NO),
        ("/admin", "/ADMIN", LAX),
        ("/Admin", "/admin", LAX),
        ("/admin", "/%61dmin", YES),
        ("/admin", "/%2561dmin", LAX),
        ("/admin", "/x/../admin", YES),
        ("/admin", "//admin", LAX),
        ("/admin", "/x/..;/admin", LAX),
        ("/admin", "/admin%00", LAX),
        ("=/admin", "/admin", YES),
        ("=/admin", "/admin/x", NO),
        ("/", "/any/path", YES),
        ("/a?b=1", "/a?b=1", YES),
        ("/a?b=1", "/a?b=2", NO),
        ("/caf\u00e9", "/caf%C3%A9/x", YES),
        ("/a | /b", "/b", YES),
    ],
)
def test_path(value: str, tail: str, expected: tuple[Truth, Truth]) -> None:
    assert both("path", value, transaction(target=f"https://any.test{tail}")) == expected


def test_a_tunnel_has_no_path_yet() -> None:
    assert both("path", "/admin", transaction("CONNECT", "a.test:443")) == UNKNOWN
    assert both("path", "/admin", early("a.test")) == UNKNOWN


def test_five_thousand_paths_are_found_by_lookup(tmp_path: Path) -> None:
    text = "".join(f"- {{name: r{n}, when: {{path: '/p{n}/x'}}, action: block}}\n" for n in range(1000))
    rules = policy(tmp_path, "access:\n" + text)
    assert outcome(rules, transaction(target="http://a.test/p77/x/y")) == "block: r77"
    assert outcome(rules, transaction(target="http://a.test/P77%2fx")) == "block: r77"
    tx = transaction(target="http://a.test/p77/y" + "/z" * 20_000)
    facts = rules._facts(tx, ("a.test",))
    assert rules._index.candidates(tx, ("a.test",), facts) == ()


def test_a_key_is_folded_and_ends_in_no_slash() -> None:
    assert path_key("/A/b/") == "/a/b"
    assert path_key("/") == ""
