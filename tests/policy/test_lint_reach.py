"""Rules that decide nothing are found, with the rule that takes their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.policy.linting import codes

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = "action: block"
MOVED = 'action: {redirect: "https://new.example/"}'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # Never reached.
        (
            f"access:\n  - {{when: {{host: [example]}}, {BLOCK}}}\n  - {{when: {{host: [a.example]}}, {BLOCK}}}\n",
            ["3 shadowed"],
        ),
        (
            f"access:\n  - {{when: {{host: [example]}}, {BLOCK}}}\n"
            "  - {when: {host: [a.example]}, action: allow}\n",
            ["3 contradicted"],
        ),
        (
            "bypass:\n  - {when: {host: [a.example]}}\n"
            f"access:\n  - {{when: {{host: [a.example], client: [10.0.0.0/8]}}, {BLOCK}}}\n",
            ["4 contradicted"],
        ),
        (
            f"access:\n  - {{when: {{client: [10.0.0.0/8]}}, {BLOCK}}}\n"
            f"  - {{when: {{client: [10.1.0.0-10.2.0.9]}}, {MOVED}}}\n",
            ["3 contradicted"],
        ),
        (f"access:\n  - {{{BLOCK}}}\n  - {{when: {{host: [a.example]}}, {BLOCK}}}\n", ["3 shadowed"]),
        (
            f"access:\n  - {{when: {{host: [example]}}, unless: [{{user: [x]}}], {BLOCK}}}\n"
            f"  - {{when: {{host: [a.example]}}, {BLOCK}}}\n",
            [],
        ),
        (
            f"access:\n  - {{when: {{host: [example]}}, mode: shadow, {BLOCK}}}\n"
            f"  - {{when: {{host: [a.example]}}, {BLOCK}}}\n",
            [],
        ),
        (
            f"access:\n  - {{when: {{host: [example], user: [x]}}, {BLOCK}}}\n"
            f"  - {{when: {{host: [a.example]}}, {BLOCK}}}\n",
            [],
        ),
        (
            "tls:\n  - {when: {host: [example]}, action: splice}\n  - {when: {host: [a.example]}, action: bump}\n",
            ["3 shadowed"],
        ),
        # Never true.
        (f"access:\n  - {{when: {{method: [CONNECT], path: [/x]}}, {BLOCK}}}\n", ["2 never-matches"]),
        (f"access:\n  - {{when: {{method: [CONNECT], mime: [text/html]}}, {BLOCK}}}\n", ["2 never-matches"]),
        (f"access:\n  - {{when: {{method: [CONNECT], scheme: [http]}}, {BLOCK}}}\n", ["2 never-matches"]),
        (f"access:\n  - {{when: {{method: [CONNECT, GET], path: [/x]}}, {BLOCK}}}\n", []),
        (
            f"access:\n  - {{when: {{host: [a.example]}}, unless: [{{host: [example]}}], {BLOCK}}}\n",
            ["2 never-matches"],
        ),
        (f"access:\n  - {{when: {{host: [a.example], url: [b.example/x]}}, {BLOCK}}}\n", ["2 never-matches"]),
        (f"access:\n  - {{when: {{host: [a.example], url: [w.a.example/x]}}, {BLOCK}}}\n", []),
        ("tls:\n  - {when: {url: [a.example/x]}, action: splice}\n", ["2 never-matches"]),
    ],
)
def test_findings(tmp_path: Path, text: str, found: list[str]) -> None:
    assert codes(tmp_path, text) == found
