"""Rules of protection that are never asked or change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.verdicts import Kind
from tests.policy.linting import codes

if TYPE_CHECKING:
    from pathlib import Path

NONE = ", ".join(f"{kind}: skip" for kind in Kind)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{scan: {macro: skip}}", []),
        ("{when: {host: [a.example]}, scan: {macro: skip}}\n  - {scan: {stream: block}}", []),
        ("{scan: {macro: skip}}\n  - {when: {host: [a.example]}, scan: {macro: skip}}", ["3 shadowed"]),
        ("{scan: {macro: skip}}\n  - {when: {host: [a.example]}, scan: {stream: block}}", ["3 contradicted"]),
        ("{mode: shadow, scan: {macro: skip}}\n  - {when: {host: [a.example]}, scan: {stream: block}}", []),
        (f"{{scan: {{{NONE}}}}}", ["2 scans-nothing"]),
        ("{when: {mime: ['video/*']}, scan: {macro: skip}}", ["2 slices"]),
        ("{when: {file_type: [mp4]}, scan: {macro: skip}}", ["2 slices"]),
        ("{when: {mime: ['video/*']}, scan: {partial: skip}}", []),
        ("{when: {method: [CONNECT], path: [/x]}, scan: {macro: skip}}", ["2 never-matches"]),
        (
            "{when: {host: [a.example]}, scan: {macro: skip}}\n"
            "bypass:\n  - {name: in, when: {host: [example]}}",
            ["2 never-scanned"],
        ),
        (
            "{when: {host: [a.example]}, scan: {macro: skip}}\n"
            "bypass:\n  - {name: in, when: {host: [example], method: [GET]}}",
            [],
        ),
        (
            "{when: {host: [a.example]}, scan: {macro: skip}}\n"
            "access:\n  - {name: out, when: {host: [a.example]}, action: block}",
            ["2 never-scanned"],
        ),
        (
            "{when: {host: [a.example]}, scan: {macro: skip}}\n"
            "access:\n  - {name: fine, when: {host: [a.example]}, action: allow}",
            [],
        ),
        (
            "{when: {host: [a.example, b.example]}, scan: {macro: skip}}\n"
            "tls:\n  - {name: s, when: {host: [a.example, b.example]}, action: splice}",
            ["2 never-decrypted"],
        ),
        (
            "{when: {host: [a.example, b.example]}, scan: {macro: skip}}\n"
            "tls:\n  - {name: s, when: {host: [a.example]}, action: splice}",
            [],
        ),
        (
            "{when: {host: [a.example], scheme: [http]}, scan: {macro: skip}}\n"
            "tls:\n  - {name: s, when: {host: [a.example]}, action: splice}",
            [],
        ),
    ],
)
def test_findings(tmp_path: Path, text: str, found: list[str]) -> None:
    assert codes(tmp_path, f"protection:\n  - {text}\n") == found
