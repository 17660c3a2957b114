"""The control socket itself; what it does is tested by tests/cli/test_reload.py through a real icapd."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path


def test_a_request_in_pieces_and_one_too_long(tmp_path: Path) -> None:
    with serving(tmp_path, options={"control": "control.sock"}):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(10)
            asking.connect(str(tmp_path / "control.sock"))
            for byte in b'{"command": "reload"}\n':
                asking.send(bytes([byte]))
            answer = json.loads(asking.recv(4096))
            assert (answer["ok"], answer["changed"], answer["problems"]) == (True, False, [])
            assert asking.recv(1) == b""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(10)
            asking.connect(str(tmp_path / "control.sock"))
            asking.sendall(b"x" * 2000)
            assert asking.recv(4096) == b""
