"""Lists that nobody asks or that hold nothing, and lines passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.policy.linting import findings

if TYPE_CHECKING:
    from pathlib import Path


def test_lists(tmp_path: Path) -> None:
    text = (
        "lists:\n  used: {domains: [used]}\n  unused: {domains: [used]}\n  empty: {domains: [empty]}\n"
        "access:\n  - {when: {list: [used]}, action: block}\n  - {when: {list: [empty]}, action: block}\n"
    )
    found = findings(tmp_path, text, used="a.example\nb c d\n", empty="# nothing\n")
    assert [f"{one.line} {one.level} {one.code}" for one in found] == [
        "2 note ignored-lines",
        "3 warning unused-list",
        "3 note ignored-lines",
        "4 warning empty-list",
        "7 warning never-matches",
    ]
    assert "1 lines ignored" in found[0].what
    assert "used, line 2" in found[0].why


def test_lists_of_threats_are_used_by_scanning(tmp_path: Path) -> None:
    text = (
        "lists:\n  phish: {urls: [urls], threat: phishing}\n  bad: {sha256: [sums], threat: malware}\n"
        "  odd: {sha256: [sums], threat: phishing}\n"
    )
    found = findings(tmp_path, text, urls="a.example/x\n", sums="a" * 64 + "\n")
    assert [f"{one.line} {one.level} {one.code}" for one in found] == ["4 warning threat-unfit"]


def test_a_list_that_protection_asks_for_is_used(tmp_path: Path) -> None:
    text = "lists: {a: {domains: [names]}}\nprotection: [{when: {list: [a]}, scan: {macro: skip}}]\n"
    assert findings(tmp_path, text, names="a.example\n") == []
