"""deploy/haproxy: HAProxy takes the file, and carries transactions to the icapd that is up, past one that is not."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from icapd.demo.child import Child, accepts, free_ports
from tests.serving import serving

HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
FILE = Path(__file__).parents[1] / "deploy" / "haproxy" / "haproxy.cfg"
pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed (Debian: haproxy)")
_GET = b"GET http://games.example/ HTTP/1.1\r\nHost: games.example\r\n\r\n"


def test_haproxy_takes_the_file() -> None:
    done = subprocess.run([HAPROXY or "", "-c", "-f", str(FILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def _ask(port: int) -> bytes:
    """Ask REQMOD for a page that is blocked; return what comes, b"" when nobody takes it."""
    head = f"REQMOD icap://127.0.0.1:{port}/reqmod ICAP/1.0\r\nHost: 127.0.0.1\r\nAllow: 204\r\nEncapsulated: req-hdr=0, null-body={len(_GET)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(head.encode() + _GET)
        return connection.recv(65536)


def test_the_icapd_that_is_up_answers(tmp_path: Path) -> None:
    port, down = free_ports(2)
    policy = {"access": [{"name": "no games", "when": {"host": ["games.example"]}, "action": "block"}]}
    with serving(tmp_path, policy=policy) as served:
        text = FILE.read_text().replace("bind 127.0.0.1:1344", f"bind 127.0.0.1:{port}")
        text = text.replace("192.0.2.11:1344", f"127.0.0.1:{down}").replace(
            "192.0.2.12:1344", f"127.0.0.1:{served.icap}"
        )
        assert "192.0.2." not in text
        configuration = tmp_path / "haproxy.cfg"
        configuration.write_text(text)
        child = Child.start(
            "haproxy", [HAPROXY or "", "-db", "-f", str(configuration)], tmp_path / "haproxy.log"
        )
        try:
            child.wait_until(lambda: accepts(port), 20)
            deadline = time.monotonic() + 20
            answers = [b""]
            while time.monotonic() < deadline and not answers[-1].startswith(b"ICAP/1.0 200 "):
                try:
                    answers.append(_ask(port))
                except OSError:
                    time.sleep(0.1)
            assert b"HTTP/1.1 403 Forbidden" in answers[-1]
            later = [_ask(port) for _ in range(4)]
            assert all(answer.startswith(b"ICAP/1.0 200 ") for answer in later)
        finally:
            child.stop()
