"""Many large bodies at once: memory stays within bounds, all of them are answered, none is let through unread."""

from __future__ import annotations

import selectors
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cases.icap_cases import parse_response
from tests.server.asking import reqmod
from tests.serving import serving

if TYPE_CHECKING:
    from tests.serving import Served

LIMIT = 512 * 1024 * 1024  # bytes that the server may have in memory
_PIECE = b"%x\r\n%b\r\n" % (65536, bytes(65536))
POLICY = {"lists": {"bad": {"sha256": ["bad.sha256"], "threat": "malware"}}}


def peak(pid: int) -> int:
    """Return the most that the process ever had in memory, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


class Upload:
    """One upload, sent as fast as it is taken; `answer` is all that came back."""

    def __init__(self, port: int, size: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self._left = size // 65536
        self._data = memoryview(reqmod(method="POST", lines=("Allow: 204",), body=b""))
        self.answer = b""
        self.done = False

    def write(self) -> bool:
        """Send some; False if there is no more."""
        if not self._data:
            if not self._left:
                return False
            self._left -= 1
            self._data = memoryview(_PIECE + (b"" if self._left else b"0\r\n\r\n"))
        try:
            self._data = self._data[self.socket.send(self._data) :]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def read(self) -> None:
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        self.answer += data
        self.done = not data or parse_response(self.answer, 0, "REQMOD") is not None


def at_once(served: Served, count: int, size: int, *, limit: float) -> list[int]:
    """Send `count` uploads of `size` bytes side by side; return the statuses inside the answers."""
    uploads = [Upload(served.icap, size) for _ in range(count)]
    until = time.monotonic() + limit
    with selectors.DefaultSelector() as selector:
        for upload in uploads:
            selector.register(upload.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, upload)
        while selector.get_map():
            assert time.monotonic() < until
            for key, events in selector.select(1):
                upload = key.data
                if events & selectors.EVENT_READ:
                    upload.read()
                    if upload.done:
                        selector.unregister(upload.socket)
                        upload.socket.close()
                        continue
                if events & selectors.EVENT_WRITE and not upload.write():
                    selector.modify(upload.socket, selectors.EVENT_READ, upload)
    return [
        204 if b" 204 " in upload.answer[:20] else 403 * (b"HTTP/1.1 403" in upload.answer)
        for upload in uploads
    ]


def test_what_the_disk_can_hold_passes(tmp_path: Path) -> None:
    (tmp_path / "bad.sha256").write_text("0" * 64 + "\n")
    with serving(tmp_path, policy=POLICY) as served:
        assert at_once(served, 200, 2 << 20, limit=120) == [204] * 200
        assert peak(served.pid) < LIMIT


@pytest.mark.slow
def test_200_of_20_mb_at_once(tmp_path: Path) -> None:
    (tmp_path / "bad.sha256").write_text("0" * 64 + "\n")
    with serving(tmp_path, policy=POLICY) as served:
        assert at_once(served, 200, 20 << 20, limit=300) == [204] * 200
        assert peak(served.pid) < LIMIT


def test_what_finds_no_room_is_blocked_and_not_let_through(tmp_path: Path) -> None:
    (tmp_path / "bad.sha256").write_text("0" * 64 + "\n")
    options = {"spool": {"disk": "20m", "memory": "4m", "wait": "2"}}
    with serving(tmp_path, policy=POLICY, options=options) as served:
        statuses = at_once(served, 50, 2 << 20, limit=120)
        assert set(statuses) <= {204, 403}
        assert 403 in statuses
        assert peak(served.pid) < LIMIT
