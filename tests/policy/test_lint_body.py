"""Rules that ask for what only a body tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.policy.linting import codes, findings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("when", "unless", "found"),
    [
        ("file_type: [exe]", "", ["2 needs-body"]),
        (f"md5: [{'a' * 32}]", "", ["2 needs-body"]),
        ("host: [a.example]", f", unless: [{{sha256: [{'b' * 64}]}}]", ["2 needs-body"]),
        ("file_name: ['*.exe']", "", []),
        ("size: ['>1MB']", "", []),
        ("list: [digests]", "", ["2 needs-body"]),
    ],
)
def test_findings(tmp_path: Path, when: str, unless: str, found: list[str]) -> None:
    text = f"access:\n  - {{name: a, when: {{{when}}}{unless}, action: block}}\n"
    if "list:" in when:
        text += "lists: {digests: {md5: [digests]}}\n"
    codes_found = codes(tmp_path, text, digests="a" * 32 + "\n")
    assert [code for code in codes_found if "needs-body" in code] == found


def test_what_it_costs_is_said(tmp_path: Path) -> None:
    text = "access:\n  - {name: a, when: {file_type: [exe]}, action: block}\n"
    (one,) = (each for each in findings(tmp_path, text) if each.code == "needs-body")
    assert (one.level, "every body is read" in one.what, bool(one.mend)) == ("note", True, True)
    text = "access:\n  - {name: a, when: {file_type: [exe], host: [a.example]}, action: block}\n"
    (one,) = (each for each in findings(tmp_path, text) if each.code == "needs-body")
    assert ("other criteria" in one.what, one.mend) == (True, "")
