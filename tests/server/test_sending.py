"""Backpressure with real sockets and a real process: flat memory, nothing lost, stalled readers cut."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from icapd.metrics.words import new_words
from icapd.server.sending import DirectSender
from tests.server.asking import Asking, chunks, respmod
from tests.server.doubles import Kernel, Link
from tests.serving import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = os.urandom(1024 * 1024)
COUNT = 1024  # blocks: 1 GiB
LIMITS = {"body": "1", "drain": "1", "linger": "1"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("icapd"), options={"limits": LIMITS}) as running:
        yield running


def resident(pid: int) -> int:
    """Resident memory in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def payload(number: int) -> bytes:
    return b"%020d" % number + BLOCK[20:]


def send_body(peer: Asking, count: int) -> None:
    peer.socket.sendall(respmod(lines=(), body=b""))
    for number in range(count):
        data = payload(number)
        peer.socket.sendall(b"%x\r\n" % len(data))
        peer.socket.sendall(data)
        peer.socket.sendall(b"\r\n")
    peer.socket.sendall(b"0\r\n\r\n")


class Echo:
    """Reads the echoed body; knows its digest and size, and whether the last-chunk came."""

    def __init__(self, peer: Asking) -> None:
        self.file = peer.socket.makefile("rb", buffering=1024 * 1024)
        self.digest = hashlib.sha1(usedforsecurity=False)
        self.size = 0

    def read(self) -> None:
        for _ in range(2):  # the ICAP head, and the HTTP head in it
            while self.file.readline() != b"\r\n":
                pass
        while size := int(self.file.readline(), 16):
            data = self.file.read(size)
            assert len(data) == size
            self.digest.update(data)
            self.size += size
            assert self.file.read(2) == b"\r\n"
        assert self.file.readline() == b"\r\n"


def test_a_gibibyte_through_a_reader_that_stops_for_a_while_is_intact_in_flat_memory(served: Served) -> None:
    with Asking(served.icap) as peer:  # warm up
        writer = threading.Thread(target=send_body, args=(peer, 4))
        writer.start()
        Echo(peer).read()
        writer.join()
    before = peak = resident(served.pid)
    with Asking(served.icap) as peer:
        writer = threading.Thread(target=send_body, args=(peer, COUNT))
        writer.start()
        for _ in range(3):
            time.sleep(0.5)
            peak = max(peak, resident(served.pid))
        echo = Echo(peer)
        reader = threading.Thread(target=echo.read)
        reader.start()
        while reader.is_alive():
            peak = max(peak, resident(served.pid))
            reader.join(0.05)
        writer.join()
    wanted = hashlib.sha1(usedforsecurity=False)
    for number in range(COUNT):
        wanted.update(payload(number))
    assert echo.size == COUNT * len(BLOCK)
    assert echo.digest.digest() == wanted.digest()
    assert peak - before < 30_000_000


def stuff(peer: Asking) -> None:
    """Send until nothing moves: all buffers, the server's and both kernels', are full."""
    peer.socket.sendall(respmod(lines=(), body=b"fffffff\r\n"))
    peer.socket.settimeout(0.3)
    with contextlib.suppress(TimeoutError):
        while True:
            peer.socket.sendall(BLOCK)


def test_a_reader_that_stops_is_cut_and_never_sees_an_end(served: Served) -> None:
    with Asking(served.icap) as peer:
        stuff(peer)
        time.sleep(2.5)
        peer.socket.settimeout(5)
        with pytest.raises(ConnectionResetError):
            peer.socket.sendall(BLOCK)
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while more := peer.socket.recv(1024 * 1024):
                data = more
        assert not data.endswith(b"0\r\n\r\n")


def test_a_reader_that_is_merely_slow_is_not_cut(served: Served) -> None:
    with Asking(served.icap) as peer:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        stuff(peer)
        peer.socket.settimeout(5)
        for _ in range(15):  # far longer than limits.body, all the while much is waiting
            assert peer.socket.recv(100_000)
            time.sleep(0.2)


# The double says when the kernel is full and when it is empty again, which no real socket does on demand.


def test_what_the_kernel_does_not_take_goes_through_the_transport_in_order() -> None:
    link, drained = Link(), []
    link.socket.room = 3
    sender = DirectSender(link, lambda: drained.append(link.sent), new_words())  # type: ignore[arg-type]
    sender.write(b"abcdef")
    sender.write(b"ghi")
    assert (link.sent, link.held, sender.congested, drained) == (b"abc", b"defghi", True, [])
    link.take(2)
    assert (sender.congested, drained) == (True, [])
    link.take()
    assert (sender.congested, drained) == (False, [b"abcdefghi"])
    sender.write(b"j")
    assert link.sent == b"abcdefghij"
    assert link.held == b""
    assert link.producer is None


def test_nothing_at_all_taken_is_no_error() -> None:
    link = Link()
    link.socket.room = 0
    sender = DirectSender(link, lambda: None, new_words())  # type: ignore[arg-type]
    sender.write(b"abc")
    assert (link.held, link.aborted) == (b"abc", False)


def test_a_dead_socket_is_aborted_once_and_written_to_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    sends = []

    def send(_self: Kernel, data: bytes) -> int:
        sends.append(data)
        raise BrokenPipeError

    monkeypatch.setattr(Kernel, "send", send)
    link = Link()
    sender = DirectSender(link, lambda: None, new_words())  # type: ignore[arg-type]
    sender.write(b"abc")
    sender.write(b"def")
    assert sends == [b"abc"]
    assert link.aborted
    assert not sender.progressed()


def test_small_chunks_keep_their_content(served: Served) -> None:
    pieces = [bytes([number % 256]) * (number % 700 + 1) for number in range(3000)]
    with Asking(served.icap) as peer:
        writer = threading.Thread(target=peer.socket.sendall, args=(respmod(lines=(), body=chunks(*pieces)),))
        writer.start()
        assert peer.answer("RESPMOD").body == b"".join(pieces)
        writer.join()


def test_what_is_held_leaves_in_one_call() -> None:
    link = Link()
    sender = DirectSender(link, lambda: None, new_words())  # type: ignore[arg-type]
    sender.hold()
    sender.write(b"one")
    sender.write(b"two")
    assert link.socket.taken == []
    sender.release()
    assert link.socket.taken == [b"onetwo"]
    sender.release()
    sender.write(b"three")
    assert link.socket.taken == [b"onetwo", b"three"]


def test_what_the_kernel_does_not_take_of_it_waits_in_order() -> None:
    link = Link()
    drained: list[bool] = []
    sender = DirectSender(link, lambda: drained.append(True), new_words())  # type: ignore[arg-type]
    link.socket.room = 4
    sender.hold()
    sender.write(b"one")
    sender.write(b"two")
    sender.release()
    assert sender.congested
    sender.hold()
    sender.write(b"three")
    sender.release()
    assert link.sent == b"onet"
    link.take()
    assert link.sent == b"onetwothree"
    assert drained == [True]
