"""Writing to a client: straight to the socket while the kernel takes it, else through the transport.

`transport.write` costs 6-9 µs more than `socket.send` (facts/performance.md §1), so the transport
is used only for what the kernel did not take. While it holds something the sender is congested,
and the connection stops reading: echo then moves at the pace of its reader, in flat memory.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.tcp import Server as TcpTransport
    from twisted.protocols.tls import TLSMemoryBIOProtocol


@implementer(IPullProducer)
class DirectSender:
    """Sends over TCP. `on_drained` is called when all that was congested has left."""

    def __init__(self, transport: TcpTransport, on_drained: Callable[[], None]) -> None:
        self._transport = transport
        self._send = transport.socket.send
        self._on_drained = on_drained
        self._registering = False
        self._outstanding = -1
        self.congested = False

    def write(self, data: bytes) -> None:
        """Send `data`, or hand the rest of it to the transport."""
        if not self.congested:
            try:
                sent = self._send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._transport.abortConnection()
                return
            if sent == len(data):
                return
            data = data[sent:]
            self.congested = True
            self._transport.write(data)
            # A pull producer is asked for more when the buffer is empty: the one public sign of it.
            self._registering = True
            self._transport.registerProducer(self, streaming=False)
            self._registering = False
            return
        self._transport.write(data)

    def progressed(self) -> bool:
        """Whether the peer's kernel took bytes since the last call (asked only while congested)."""
        try:
            answer = fcntl.ioctl(self._transport.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        except OSError:
            return False
        outstanding = struct.unpack("i", answer)[0]
        moved = outstanding != self._outstanding
        self._outstanding = outstanding
        return moved

    def resumeProducing(self) -> None:
        """Twisted: the transport's buffer is empty (the first call, made on registering, is not that)."""
        if self._registering:
            return
        self._transport.unregisterProducer()
        self.congested = False
        self._on_drained()

    def stopProducing(self) -> None:
        """Twisted: the connection is lost."""


@implementer(IPushProducer)
class TlsSender:
    """Sends over TLS, whose records only the transport can write."""

    def __init__(self, transport: TLSMemoryBIOProtocol, on_drained: Callable[[], None]) -> None:
        self._transport = transport
        self._on_drained = on_drained
        self.congested = False
        transport.registerProducer(self, True)

    def write(self, data: bytes) -> None:
        """Send `data`."""
        self._transport.write(data)

    def progressed(self) -> bool:
        """Whether bytes moved: not known for TLS, whose buffers are short."""
        return False

    def pauseProducing(self) -> None:
        """Twisted: the transport holds more than it likes to."""
        self.congested = True

    def resumeProducing(self) -> None:
        """Twisted: it holds little again."""
        self.congested = False
        self._on_drained()

    def stopProducing(self) -> None:
        """Twisted: the connection is lost."""
