"""The client's side of a connection: requests out, answers in.

Used by `icapd ping`, by the tests as a strict client, and to speak to ICAP code run in process.
One request at a time: `send_request`, then `send_data` and `send_end` for its body, then the events
up to the end of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from icapd.protocol.chunked import ChunkReader, chunk, last_chunk
from icapd.protocol.connection import Connection
from icapd.protocol.encapsulated import cut_head
from icapd.protocol.errors import LocalProtocolError, RemoteProtocolError
from icapd.protocol.events import BodyEnded, ContinueReceived, Event, ResponseReceived
from icapd.protocol.head import parse_response_head


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An ICAP request to send. `body` says whether one follows; `headers` are ICAP header lines."""

    method: bytes
    uri: bytes
    host: bytes
    request_head: bytes | None = None
    response_head: bytes | None = None
    body: bool = False
    preview: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def render(self) -> bytes:
        """Return its bytes up to the body."""
        lines = [b"%b %b ICAP/1.0" % (self.method, self.uri), b"Host: " + self.host]
        lines += [b"%b: %b" % pair for pair in self.headers]
        if self.preview is not None:
            lines.append(b"Preview: %d" % self.preview)
        entities, offset = [], 0
        for name, head in ((b"req-hdr", self.request_head), (b"res-hdr", self.response_head)):
            if head is not None:
                entities.append(b"%b=%d" % (name, offset))
                offset += len(head)
        if self.method != b"OPTIONS":
            kind = b"req-body" if self.method == b"REQMOD" else b"res-body"
            entities.append(b"%b=%d" % (kind if self.body else b"null-body", offset))
            lines.append(b"Encapsulated: " + b", ".join(entities))
        return b"\r\n".join(lines) + b"\r\n\r\n" + (self.request_head or b"") + (self.response_head or b"")


class ClientConnection(Connection):
    """Events of a server's answers, and the bytes of our requests."""

    __slots__ = ("_request", "_response")

    def __init__(self) -> None:
        super().__init__()
        self._request: Request | None = None  # sent, its answer not complete
        self._response: ResponseReceived | None = None  # its body is being read

    def send_request(self, request: Request) -> bytes:
        """Begin a request; one without a body is complete with it."""
        if self._request is not None:
            raise LocalProtocolError("the answer to the last request is not complete")
        self._request = request
        return request.render()

    def send_data(self, payload: bytes) -> bytes:
        """Send a piece of the body as one chunk."""
        if self._request is None or not self._request.body:
            raise LocalProtocolError("no request with a body was begun")
        return chunk(payload)

    def send_end(self, *, ieof: bool = False, trailer: bytes = b"") -> bytes:
        """End the preview, or the body; `ieof` says that the preview was all of it (RFC 3507 §4.5)."""
        if self._request is None or not self._request.body:
            raise LocalProtocolError("no request with a body was begun")
        if ieof and self._request.preview is None:
            raise LocalProtocolError("ieof belongs to a preview")
        return last_chunk(trailer, ieof=ieof)

    def next_event(self) -> Event | None:
        """Return ContinueReceived, ResponseReceived, DataReceived, BodyEnded or ConnectionEnded, or None.

        Raises RemoteProtocolError(502) or what the grammar found wrong.
        """
        if self._reader is not None:
            event = self._next_of_body()
            if isinstance(event, BodyEnded):
                self._reader = self._request = self._response = None
            return event
        start = self._at
        end = self._head_end()
        if end < 0:
            return self._nothing()
        if self._request is None:
            raise RemoteProtocolError(502, "an answer nobody asked for")
        head = parse_response_head(self._buffer[self._at : end])
        if head.status == 100:  # noqa: PLR2004
            self._at = end + 4
            return ContinueReceived()
        layout = head.layout
        begin = end + 4
        if not self._has(layout.size, begin):
            self._at = start
            return None
        middle = begin + layout.request_end
        self._at = begin + layout.size
        if layout.body is None:
            self._request = None
        else:
            self._reader = ChunkReader()
        return ResponseReceived(
            head.status,
            head.reason,
            head.fields,
            cut_head(self._buffer, begin, middle) if layout.request_end else None,
            cut_head(self._buffer, middle, self._at) if layout.has_response else None,
            layout.body,
        )
