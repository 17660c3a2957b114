"""Rules that ask for what only a body tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.policy.linting import codes

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
    ],
)
def test_findings(tmp_path: Path, when: str, unless: str, found: list[str]) -> None:
    text = f"access:\n  - {{name: a, when: {{{when}}}{unless}, action: block}}\n"
    assert [code for code in codes(tmp_path, text) if "needs-body" in code] == found
