"""Redirects are followed to where they lead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.policy.linting import codes

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = "action: block"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # Redirects that lead nowhere.
        (
            'access:\n  - {when: {host: [a.example]}, action: {redirect: "http://w.a.example/"}}\n',
            ["2 redirect-loop"],
        ),
        (
            'access:\n  - {when: {host: [a.example]}, action: {redirect: "https://a.example/?u={url}"}}\n',
            ["2 redirect-loop"],
        ),
        (
            'access:\n  - {when: {host: [a.example]}, action: {redirect: "http://b.example/"}}\n'
            '  - {when: {host: [b.example]}, action: {redirect: "http://a.example/"}}\n',
            ["2 redirect-loop", "3 redirect-loop"],
        ),
        (
            'access:\n  - {when: {host: [a.example]}, action: {redirect: "https://b.example/"}}\n'
            f"  - {{when: {{host: [b.example], method: [CONNECT]}}, {BLOCK}}}\n",
            ["2 redirect-blocked"],
        ),
        (
            'access:\n  - {when: {host: [a.example]}, action: {redirect: "http://b.example/"}}\n'
            f"  - {{when: {{host: [b.example], method: [CONNECT]}}, {BLOCK}}}\n",
            [],
        ),
        (
            "access:\n  - {when: {host: [a.example]}, unless: [{path: [/why]}],"
            ' action: {redirect: "http://a.example/why"}}\n',
            [],
        ),
    ],
)
def test_findings(tmp_path: Path, text: str, found: list[str]) -> None:
    assert codes(tmp_path, text) == found
