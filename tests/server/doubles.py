"""Doubles of a socket and its Twisted transport.

Used where a test needs what no real socket gives on demand: a kernel that takes just so many bytes, a
peer that resets at a certain send, deadlines without waiting for them. They are strict: pausing what is
paused, or resuming what is not, fails the test.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure


class Kernel:
    """Takes `room` bytes, then none, like a socket whose peer does not read."""

    def __init__(self) -> None:
        self.room = sys.maxsize
        self.reset = False
        self.taken: list[bytes] = []

    def send(self, data: bytes) -> int:
        if self.reset:
            raise ConnectionResetError
        if not self.room:
            raise BlockingIOError
        count = min(self.room, len(data))
        self.room -= count
        self.taken.append(data[:count])
        return count

    def sendmsg(self, pieces: list[bytes]) -> int:
        return self.send(b"".join(pieces))


class Link:
    """A transport as twisted.internet.tcp.Server behaves towards its protocol."""

    def __init__(self) -> None:
        self.socket = Kernel()
        self.held = b""
        self.producer: Any = None
        self.reading = True
        self.half_closed = self.closed = self.aborted = False

    @property
    def sent(self) -> bytes:
        return b"".join(self.socket.taken)

    @property
    def ended(self) -> bool:
        return self.half_closed or self.closed or self.aborted

    def write(self, data: bytes) -> None:
        self.held += data

    def take(self, count: int = sys.maxsize) -> None:
        """The kernel takes `count` bytes of what is held; empty, the pull producer is asked."""
        self.socket.taken.append(self.held[:count])
        self.held = self.held[count:]
        if not self.held:
            self.socket.room = sys.maxsize
            if self.producer is not None:
                self.producer.resumeProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        assert not streaming
        self.producer = producer
        producer.resumeProducing()

    def unregisterProducer(self) -> None:
        assert self.producer is not None
        self.producer = None

    def pauseProducing(self) -> None:
        assert self.reading
        self.reading = False

    def resumeProducing(self) -> None:
        assert not self.reading
        self.reading = True

    def loseWriteConnection(self) -> None:
        assert not self.held
        assert not self.half_closed
        self.half_closed = True

    def loseConnection(self) -> None:
        self.closed = True

    def abortConnection(self) -> None:
        self.aborted = True

    def fileno(self) -> int:
        return -1

    def setTcpNoDelay(self, enabled: bool) -> None:
        assert enabled

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 40000)


LOST = Failure(ConnectionDone())
