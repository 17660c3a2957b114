"""Reading from all plain ICAP sockets at once: one epoll inside Twisted's reactor.

Twisted pays some microseconds of bookkeeping for each socket that is ready. Here they wait in an epoll
of their own, which the reactor watches as one descriptor; when it is readable, every ready socket is
read in one go. A socket that has nothing more to say (EOF, an error) goes back to Twisted, which sees
the same and ends the connection in its own way.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

    from icapd.server.interfaces import TcpTransport

_LEAST = 65536  # as Twisted reads
_MOST = 1 << 17  # while a body comes faster than it is read: fewer calls for the same bytes
_PATIENCE = 8  # small reads until the next is small again
_IN = select.EPOLLIN
_log = Logger(namespace="icapd")


class Reading:
    """One socket that the hub reads; `take` is called with what comes."""

    __slots__ = ("_descriptor", "_hub", "is_amid", "patience", "receive", "size", "take", "transport")

    def __init__(self, hub: Hub, transport: TcpTransport, take: Callable[[bytes], None]) -> None:
        self._hub = hub
        self._descriptor = transport.socket.fileno()
        self.receive = transport.socket.recv
        self.size = _LEAST  # of the next read
        self.is_amid = False  # a large body was coming at the last read
        self.patience = 0  # small reads left until then
        self.take = take
        self.transport = transport

    def pauseProducing(self) -> None:
        """Stop reading, as of a transport."""
        self._hub.watch(self._descriptor, 0)

    def resumeProducing(self) -> None:
        """Go on reading, as of a transport."""
        self._hub.watch(self._descriptor, _IN)

    def end(self) -> None:
        """The connection is lost."""
        self._hub.forget(self._descriptor)


@implementer(IReadDescriptor)
class Hub:
    """The sockets that are read here, by descriptor."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readings: dict[int, Reading] = {}

    def add(self, transport: TcpTransport, take: Callable[[bytes], None]) -> Reading:
        """Read `transport` here from now on, and hand what comes to `take`."""
        transport.pauseProducing()
        reading = Reading(self, transport, take)
        descriptor = transport.socket.fileno()
        self._readings[descriptor] = reading
        self._epoll.register(descriptor, _IN)
        return reading

    def watch(self, descriptor: int, events: int) -> None:
        """Wait for `events` of it; nothing if it went back to Twisted."""
        if descriptor in self._readings:
            self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Its connection is lost; closing has taken the descriptor out of the epoll already."""
        self._readings.pop(descriptor, None)

    def fileno(self) -> int:
        """Twisted: what to watch."""
        return self._epoll.fileno()

    def doRead(self) -> None:
        """Twisted: some sockets are ready. Those amid a large body wait for the others, once."""
        amid = []
        for descriptor, _ in self._epoll.poll(0):
            reading = self._readings.get(descriptor)
            if reading is None:  # lost since the poll, by what another socket brought
                continue
            if reading.is_amid:
                amid.append((descriptor, reading))
            else:
                self._serve(descriptor, reading)
        for descriptor, reading in amid:
            if self._readings.get(descriptor) is reading:
                self._serve(descriptor, reading)

    def _serve(self, descriptor: int, reading: Reading) -> None:
        try:
            self._read(descriptor, reading)
        except Exception:  # noqa: BLE001  # the reactor would stop reading all of them for it
            _log.failure("a connection is cut")
            reading.transport.abortConnection()

    def _read(self, descriptor: int, reading: Reading) -> None:
        try:
            data = reading.receive(reading.size)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            reading.is_amid = len(data) >= _LEAST
            if reading.is_amid:
                reading.size = _MOST
                reading.patience = _PATIENCE
            elif reading.size == _MOST:
                reading.patience -= 1
                if not reading.patience:
                    reading.size = _LEAST
            reading.take(data)
        else:
            del self._readings[descriptor]
            self._epoll.unregister(descriptor)
            reading.transport.resumeProducing()

    def logPrefix(self) -> str:
        """Twisted: a name for its log."""
        return "icap"

    def connectionLost(self, reason: Failure) -> None:
        """Twisted: the reactor ends."""
        del reason
        self._epoll.close()
