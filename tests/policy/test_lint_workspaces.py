"""Workspaces that take users from each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.policy.linting import codes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # Workspaces.
        (
            "workspaces:\n  - {name: a, when: {client: [10.0.0.0/8]}}\n"
            "  - {name: b, when: {client: [10.1.0.0/16]}}\n",
            ["3 workspace-covered"],
        ),
        (
            "workspaces:\n  - {name: a, when: {client: [10.1.0.0/16]}}\n"
            "  - {name: b, when: {client: [10.0.0.0/8]}}\n",
            [],
        ),
        (
            "workspaces:\n  - {name: a, when: {client: [10.0.0.0/8]}}\n  - {name: b, when: {user: [x]}}\n",
            ["3 workspace-overlap"],
        ),
        (
            "workspaces:\n  - {name: a, when: {client: [10.0.0.0/8]}}\n  - {name: b, when: {client: [11.0.0.0/8]}}\n",
            [],
        ),
    ],
)
def test_findings(tmp_path: Path, text: str, found: list[str]) -> None:
    assert codes(tmp_path, text) == found
