"""Rules that wait for more, and what they let out meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.policy.linting import codes

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = "action: block"
SPLICE = "tls:\n  - {when: {host: [bank.example]}, action: splice}\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # What waits for the response lets the request out.
        (
            f"access:\n  - {{when: {{mime: [video/*]}}, {BLOCK}}}\n  - {{when: {{user: [bob]}}, {BLOCK}}}\n",
            ["2 lets-out"],
        ),
        (
            f"access:\n  - {{when: {{user: [bob]}}, {BLOCK}}}\n  - {{when: {{mime: [video/*]}}, {BLOCK}}}\n",
            [],
        ),
        (
            f"access:\n  - {{when: {{host: [v.example], mime: [video/*]}}, {BLOCK}}}\n"
            "  - {when: {host: [v.example]}, action: allow}\n"
            f"  - {{{BLOCK}}}\n",
            [],
        ),
        (
            "access:\n  - {when: {url: [bank.example/ok]}, action: allow}\n"
            f"  - {{when: {{host: [bank.example]}}, {BLOCK}}}\n{SPLICE}",
            ["2 opens-tunnel"],
        ),
        (
            "access:\n  - {when: {url: [a.example/ok]}, action: allow}\n"
            f"  - {{when: {{host: [a.example]}}, {BLOCK}}}\n{SPLICE}",
            [],
        ),
    ],
)
def test_findings(tmp_path: Path, text: str, found: list[str]) -> None:
    assert codes(tmp_path, text) == found
