"""What CONNECT and spliced tunnels do to rules is found, and only that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.policy.linting import codes

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = "action: block"
MOVED = 'action: {redirect: "https://new.example/"}'
SPLICE = "tls:\n  - {when: {host: [bank.example]}, action: splice}\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # CONNECT is caught before the rule that shows something.
        (
            "access:\n"
            f"  - {{name: no tunnel, when: {{method: [CONNECT], host: [old.example]}}, {BLOCK}}}\n"
            f"  - {{name: moved, when: {{host: [old.example]}}, {MOVED}}}\n",
            ["3 connect-caught"],
        ),
        (
            "access:\n"
            f"  - {{name: no tunnel, when: {{method: [CONNECT], host: [a.example]}}, {MOVED}}}\n"
            f"  - {{name: blocked, when: {{host: [a.example]}}, {BLOCK}}}\n",
            ["3 connect-caught"],
        ),
        # The same page either way: nothing to say.
        (
            "access:\n"
            f"  - {{name: no tunnel, when: {{method: [CONNECT], host: [a.example]}}, {BLOCK}}}\n"
            f"  - {{name: blocked, when: {{host: [a.example]}}, {BLOCK}}}\n",
            [],
        ),
        (
            "access:\n"
            f"  - {{name: no tunnel, when: {{method: [CONNECT], port: [1-442]}}, {BLOCK}}}\n"
            f"  - {{name: moved, when: {{host: [old.example]}}, {MOVED}}}\n",
            [],
        ),
        # A path needs what is inside the tunnel.
        (f"access:\n  - {{when: {{url: [bank.example/x]}}, {BLOCK}}}\n{SPLICE}", ["2 spliced"]),
        (f"access:\n  - {{when: {{host: [bank.example]}}, {BLOCK}}}\n{SPLICE}", []),
        (f"access:\n  - {{when: {{url: [http://bank.example/x]}}, {BLOCK}}}\n{SPLICE}", []),
        (f"access:\n  - {{when: {{url: [other.example/x]}}, {BLOCK}}}\n{SPLICE}", []),
        (
            f"access:\n  - {{when: {{host: [bank.example], mime: [video/*]}}, {BLOCK}}}\n{SPLICE}",
            ["2 spliced"],
        ),
        # What the seed advises, and what it costs.
        (
            f"access:\n  - {{when: {{host: [a.example]}}, unless: [{{method: [CONNECT]}}], {BLOCK}}}\n",
            ["2 excludes-connect"],
        ),
        (f"access:\n  - {{when: {{host: [a.example]}}, unless: [{{method: [POST]}}], {BLOCK}}}\n", []),
        (
            'access:\n  - {when: {url: ["https://a.test/x"]}, action: block, connect: end}\n',
            ["2 connect-unused"],
        ),
        ("access:\n  - {when: {host: [a.test]}, action: block, connect: end}\n", []),
        ("bypass:\n  - {when: {method: [CONNECT]}}\n", ["2 bypasses-connect"]),
        ("bypass:\n  - {when: {host: [a.example]}}\n", []),
    ],
)
def test_findings(tmp_path: Path, text: str, found: list[str]) -> None:
    assert codes(tmp_path, text) == found
