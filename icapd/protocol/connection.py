"""A sans-IO ICAP/1.0 connection: what both roles share, bytes in and events out.

`receive(data)` takes what the socket gave (b"" = the peer will send no more); `next_event()` gives
one event, or None when more is needed. Subclasses say what a head is and what may be sent when.
Nothing here knows a socket, a clock or a policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.protocol.abnf import MAX_HTTP_HEADS, MAX_ICAP_HEAD
from icapd.protocol.errors import RemoteProtocolError
from icapd.protocol.events import BodyEnded, ConnectionEnded, DataReceived, Event

if TYPE_CHECKING:
    from icapd.protocol.chunked import ChunkReader

# A peer that sends ahead of its turn is read no further than this; the socket's buffer holds the rest.
MAX_UNREAD = MAX_ICAP_HEAD + MAX_HTTP_HEADS


class Connection:
    """Buffer and reading state of one connection, of either role."""

    __slots__ = ("_at", "_buffer", "_eof", "_reader", "_scanned", "_start")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0  # what is before it has been read
        self._eof = False
        self._reader: ChunkReader | None = None  # of the body being read
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
        else:
            self._buffer = self._buffer[self._at :] + data
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
        """Payload bytes of the body being read so far."""
        return 0 if self._reader is None else self._reader.total

    def _head_end(self) -> int:
        """Find the end of the ICAP head at hand, -1 if it has not come. Skips empty lines before it."""
        buffer = self._buffer
        while buffer.startswith(b"\r\n", self._at):  # RFC 2616 §4.1
            self._at += 2
        scan = max(self._scanned, self._at)
        end = buffer.find(b"\r\n\r\n", scan)
        if end < 0:
            self._scanned = max(len(buffer) - 3, self._at)
        if (len(buffer) if end < 0 else end) - self._at > MAX_ICAP_HEAD:
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

    def _next_of_body(self) -> DataReceived | BodyEnded | None:
        """Read on in the body at hand."""
        reader = self._reader
        assert reader is not None  # noqa: S101  # the only callers look first
        event, self._at = reader.read(self._buffer, self._at)
        if event is None and self._eof:
            raise RemoteProtocolError(400, "the connection ended inside a body")
        return event

    def _nothing(self) -> ConnectionEnded | None:
        return ConnectionEnded() if self._eof and not self.unread else None

    def next_event(self) -> Event | None:
        """Return the next event, or None when more bytes, or a step of ours, are needed first.

        Raises RemoteProtocolError; the connection is then of no more use but for one error answer.
        """
        raise NotImplementedError  # pragma: no cover
