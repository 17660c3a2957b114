"""Clients that are slow to read what they are sent, or close their half: memory stays flat, answers whole."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cases.icap_cases import parse_response
from tests.server.asking import respmod
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Served

MIB = 1 << 20
SIZE = 50 * MIB
_PIECE = bytes(range(256)) * 256
POLICY = {"lists": {"bad": {"sha256": ["bad.sha256"], "threat": "malware"}}}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "bad.sha256").write_text("0" * 64 + "\n")
    with serving(tmp_path, policy=POLICY, options={"spool": {"memory": "8m"}}) as served:
        yield served


def resident(pid: int) -> int:
    """Bytes of memory that the process has now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def request(size: int) -> Iterator[bytes]:
    """A RESPMOD that takes no 204: all of the body comes back."""
    yield respmod(lines=(), body=b"")
    for _ in range(size // len(_PIECE)):
        yield b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE)
    yield b"0\r\n\r\n"


def send(wire: socket.socket, size: int) -> threading.Thread:
    def run() -> None:
        for piece in request(size):
            wire.sendall(piece)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_client_that_reads_slowly_costs_no_memory(served: Served) -> None:
    """It sends all it has at once and reads a little now and then; what it has not read lies in the spool."""
    with socket.create_connection(("127.0.0.1", served.icap), 20) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        before = resident(served.pid)
        sending = send(wire, SIZE)
        most, answer = 0, bytearray()
        for _ in range(20):
            answer += wire.recv(65536)
            most = max(most, resident(served.pid))
            time.sleep(0.1)
        assert len(answer) < SIZE // 4
        while not answer.endswith(b"\r\n0\r\n\r\n"):
            piece = wire.recv(1 << 20)
            assert piece
            answer += piece
            most = max(most, resident(served.pid))
        sending.join(20)
    assert most - before < 24 * MIB
    parsed = parse_response(bytes(answer), 0, "RESPMOD")
    assert parsed is not None
    assert (
        hashlib.sha256(parsed[0].body or b"").digest()
        == hashlib.sha256(_PIECE * (SIZE // len(_PIECE))).digest()
    )


def test_a_client_that_closes_its_half_is_still_answered(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.icap), 20) as wire:
        send(wire, 4 * MIB).join(20)
        wire.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while piece := wire.recv(1 << 20):
            answer += piece
    parsed = parse_response(bytes(answer), 0, "RESPMOD")
    assert parsed is not None
    assert parsed[0].body == _PIECE * (4 * MIB // len(_PIECE))
