"""A sans-IO ICAP/1.0 connection: what both roles share, bytes in and events out.

`receive(data)` takes what the socket gave (b"" = the peer will send no more); `next_event()` gives
one event, or None when more is needed. Subclasses say what a head is and what may be sent when.
Nothing here knows a socket, a clock or a policy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from icapd.protocol.abnf import MAX_HTTP_HEADS, MAX_ICAP_HEAD
from icapd.protocol.errors import RemoteProtocolError
from icapd.protocol.events import BodyEnded, ConnectionEnded, DataReceived, Event

if TYPE_CHECKING:
    from icapd.protocol.chunked import ChunkReader

# A peer that sends ahead of its turn is read no further than this; the socket's buffer holds the rest.
# No less than the longest legal head, its blank line and what it encapsulates, or that would never end.
MAX_UNREAD = MAX_ICAP_HEAD + 4 + MAX_HTTP_HEADS

# From this many unread bytes on they are kept in a bytearray: adding to bytes copies them all, which
# would cost a peer that drips a long head, byte by byte, nothing and us its square.
_GROWS = 4 * 1024


class Connection(ABC):
    """Buffer and reading state of one connection, of either role."""

    __slots__ = ("_at", "_buffer", "_eof", "_reader", "_scanned", "_start", "_taken")

    def __init__(self) -> None:
        self._buffer: bytes | bytearray = b""
        self._at = 0  # what is before it has been read
        self._eof = False
        self._reader: ChunkReader | None = None  # of the body being read
        self._taken = 0  # payload bytes of readers done with, of the message at hand
        self._start = -1  # where the encapsulated heads begin, once the ICAP head is parsed
        self._scanned = 0  # no end of head before it

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer; b"" says that it will send no more."""
        if not data:
            self._eof = True
        elif self._at == len(self._buffer):
            self._buffer = data
            self._at = 0
            self._scanned = 0
        elif isinstance(self._buffer, bytearray):
            self._buffer += data
        else:
            rest = self._buffer[self._at :]
            self._buffer = rest + data if len(rest) < _GROWS else bytearray(rest) + data
            self._scanned -= self._at
            self._start -= self._at if self._start >= 0 else 0
            self._at = 0

    @property
    def unread(self) -> int:
        """Bytes received and not yet part of an event."""
        return len(self._buffer) - self._at

    @property
    def wants_pause(self) -> bool:
        """Whether to stop reading the socket: the peer has sent ahead more than is held for it."""
        return self.unread > MAX_UNREAD

    @property
    def reading_body(self) -> bool:
        """Whether a body is being read."""
        return self._reader is not None

    @property
    def awaits_trailer(self) -> bool:
        """Whether a body has ended but for the CRLF behind its last-chunk; `end_body_now` goes on."""
        return self._reader is not None and self._reader.awaits_trailer

    @property
    def body_bytes(self) -> int:
        """Payload bytes that have come of the body at hand, its preview included."""
        return self._taken if self._reader is None else self._taken + self._reader.total

    def _settle(self) -> bytes:
        """Return the buffer as bytes, which all reading of whole messages works on."""
        buffer = self._buffer
        if type(buffer) is bytes:
            return buffer
        self._buffer = buffer = bytes(buffer)
        return buffer

    def _head_end(self) -> int:
        """Find the end of the ICAP head at hand, -1 if it has not come. Skips empty lines before it."""
        buffer = self._buffer
        while buffer.startswith(b"\r\n", self._at):  # RFC 2616 §4.1
            self._at += 2
        scan = max(self._scanned, self._at)
        end = buffer.find(b"\r\n\r\n", scan)
        if end < 0:
            self._scanned = max(len(buffer) - 3, self._at)
        if (len(buffer) - 3 if end < 0 else end) - self._at > MAX_ICAP_HEAD:
            raise RemoteProtocolError(400, "an ICAP head larger than the limit")
        if end < 0 and self._eof and self.unread:
            raise RemoteProtocolError(400, "the connection ended inside a head")
        return end

    def _has(self, size: int, start: int) -> bool:
        """Whether all encapsulated heads, `size` bytes from `start`, have come. Raises if they never will."""
        if len(self._buffer) - start >= size:
            return True
        if self._eof:
            raise RemoteProtocolError(400, "the connection ended inside an encapsulated head")
        return False

    def _end_reading(self) -> None:
        if self._reader is not None:
            self._taken += self._reader.total
            self._reader = None

    def _next_of_body(self, *, answered: bool = False) -> DataReceived | BodyEnded | ConnectionEnded | None:
        """Read on in the body at hand; when it is `answered` already, the peer may well end it by closing."""
        reader = self._reader
        assert reader is not None  # noqa: S101  # the only callers look first
        event, self._at = reader.read(self._settle(), self._at)
        if event is None and self._eof:
            if answered:
                return ConnectionEnded()
            raise RemoteProtocolError(400, "the connection ended inside a body")
        return event

    def _nothing(self) -> ConnectionEnded | None:
        return ConnectionEnded() if self._eof and not self.unread else None

    @abstractmethod
    def next_event(self) -> Event | None:
        """Return the next event, or None when more bytes, or a step of ours, are needed first.

        Raises RemoteProtocolError; the connection is then of no more use but for one error answer.
        """
