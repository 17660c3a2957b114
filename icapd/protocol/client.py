"""The client's side of a connection: requests out, answers in, one at a time (RFC 3507 §4.1).

Used by `icapd ping`, by the tests as a strict client, and to speak to ICAP code run in process.
States of the request: IDLE → (PREVIEW → AWAITING →) BODY → SENT; the answer may come at any time.

    event / call                 from                 to
    send_request()               IDLE, SENT           PREVIEW | BODY | SENT (no body)
    send_end()                   PREVIEW              AWAITING
    send_end()                   PREVIEW (ieof), BODY SENT
    ContinueReceived             AWAITING             BODY
    a final answer               AWAITING             SENT (the rest is held back)
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from icapd.protocol.chunked import ChunkReader, chunk, is_trailer, last_chunk
from icapd.protocol.connection import Connection
from icapd.protocol.encapsulated import cut_head
from icapd.protocol.errors import LocalProtocolError, RemoteProtocolError
from icapd.protocol.events import BodyEnded, ConnectionEnded, ContinueReceived, Event, ResponseReceived
from icapd.protocol.head import ResponseHead, parse_request_head, parse_response_head, tokens

_BODY_KINDS = {b"OPTIONS": b"opt-body", b"REQMOD": b"req-body", b"RESPMOD": b"res-body"}
# What an answer may encapsulate, by method (RFC 3507 §4.4.1).
_ANSWER_BODIES = {
    b"OPTIONS": frozenset({b"opt-body", None}),
    b"REQMOD": frozenset({b"req-body", b"res-body", None}),
    b"RESPMOD": frozenset({b"res-body", None}),
}


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
        if self.method != b"OPTIONS" or self.body:  # errata e1: without a body OPTIONS needs none
            kind = _BODY_KINDS.get(self.method, b"opt-body") if self.body else b"null-body"
            entities.append(b"%b=%d" % (kind, offset))
            lines.append(b"Encapsulated: " + b", ".join(entities))
        return b"\r\n".join(lines) + b"\r\n\r\n" + (self.request_head or b"") + (self.response_head or b"")


class Sending(enum.Enum):
    """How far our request has been sent."""

    IDLE = enum.auto()
    PREVIEW = enum.auto()
    AWAITING = enum.auto()
    BODY = enum.auto()
    SENT = enum.auto()


class ClientConnection(Connection):
    """Events of a server's answers, and the bytes of our requests."""

    __slots__ = ("_pending", "_preview_left", "_request", "closing", "sending")

    def __init__(self) -> None:
        super().__init__()
        self.sending = Sending.IDLE
        self.closing = False  # the server says, or has shown, that it takes no further request
        self._request: Request | None = None  # begun, its answer not complete
        self._preview_left = 0
        self._pending: ResponseHead | None = None  # parsed, its encapsulated heads not all there

    # -- requests --------------------------------------------------------------------------------

    def send_request(self, request: Request) -> bytes:
        """Begin a request; one without a body is complete with it."""
        if self._request is not None:
            raise LocalProtocolError("the answer to the last request is not complete")
        if self.sending is not Sending.IDLE and self.sending is not Sending.SENT:
            raise LocalProtocolError("the last request is not complete")
        if self.closing:
            raise LocalProtocolError("the server takes no further request")
        data = request.render()
        _check(request, data)
        self._request = request
        self._preview_left = request.preview or 0
        if not request.body:
            self.sending = Sending.SENT
        else:
            self.sending = Sending.BODY if request.preview is None else Sending.PREVIEW
        return data

    def send_data(self, payload: bytes) -> bytes:
        """Send a piece of the preview, or of the body, as one chunk."""
        if self.sending is Sending.PREVIEW:
            if len(payload) > self._preview_left:
                raise LocalProtocolError("more than the announced preview")
            self._preview_left -= len(payload)
        elif self.sending is not Sending.BODY:
            raise LocalProtocolError("no body is being sent")
        return chunk(payload)

    def send_end(self, *, ieof: bool = False, trailer: bytes = b"") -> bytes:
        """End the preview, or the body; `ieof` says that the preview was all of it (RFC 3507 §4.5)."""
        in_preview = self.sending is Sending.PREVIEW
        if not in_preview and self.sending is not Sending.BODY:
            raise LocalProtocolError("no body is being sent")
        if ieof and not in_preview:
            raise LocalProtocolError("ieof belongs to a preview")
        if trailer and (not is_trailer(trailer) or (in_preview and not ieof)):
            raise LocalProtocolError("a trailer is header fields, each ended by CRLF, behind the whole body")
        if in_preview and not ieof and self._request is not None:
            self.sending = Sending.AWAITING
        else:
            self.sending = Sending.SENT
        return last_chunk(trailer, ieof=ieof)

    # -- answers ---------------------------------------------------------------------------------

    def next_event(self) -> Event | None:
        """Return ContinueReceived, ResponseReceived, DataReceived, BodyEnded or ConnectionEnded, or None.

        A final answer may come before all of the request is sent: its body is sent to the end all the
        same, or the connection closed. Raises RemoteProtocolError(502) or what the grammar found wrong.
        """
        if self._reader is not None:
            event = self._next_of_body()
            if isinstance(event, BodyEnded):
                self._end_reading()
                self._answered()
            return event
        if self._request is None and self.unread:
            raise RemoteProtocolError(502, "an answer nobody asked for")
        head = self._pending
        if head is None:
            end = self._head_end()
            if end < 0:
                return self._no_answer()
            head = parse_response_head(bytes(self._buffer[self._at : end]))
            if head.status < 200:  # noqa: PLR2004
                return self._continue(head, end + 4)
            self._check_answer(head)
            self._start = end + 4
        if not self._has(head.layout.size, self._start):
            self._pending = head
            return None
        return self._response(head)

    def _response(self, head: ResponseHead) -> ResponseReceived:
        layout = head.layout
        buffer = self._settle()
        begin = self._start
        middle = begin + layout.request_end
        end = begin + layout.size
        response = ResponseReceived(
            head.status,
            head.reason,
            head.fields,
            cut_head(buffer, begin, middle) if layout.request_end else None,
            cut_head(buffer, middle, end) if layout.has_response else None,
            layout.body,
        )
        self._at = end
        self._start = -1
        self._pending = None
        self._taken = 0
        if b"close" in tokens(head.fields.get(b"connection", b"")):
            self.closing = True
        if layout.body is None:
            self._answered()
        else:
            self._reader = ChunkReader()
        return response

    def _continue(self, head: ResponseHead, end: int) -> ContinueReceived:
        if head.status != 100 or head.layout.body is not None or head.layout.size:  # noqa: PLR2004
            raise RemoteProtocolError(502, "only a bare 100 Continue may come before the answer")
        if self.sending is not Sending.AWAITING:
            raise RemoteProtocolError(502, "100 Continue answers a preview that ended without ieof, once")
        self.sending = Sending.BODY
        self._at = end
        return ContinueReceived()

    def _check_answer(self, head: ResponseHead) -> None:
        request = self._request
        assert request is not None  # noqa: S101  # the only caller looked
        layout = head.layout
        if layout.body not in _ANSWER_BODIES[request.method]:
            raise RemoteProtocolError(502, "the answer has a body that its method does not carry")
        if layout.request_end and (layout.has_response or request.method != b"REQMOD"):
            raise RemoteProtocolError(502, "the answer has a request head that its method does not carry")
        if head.status == 204 and (layout.body is not None or layout.size):  # noqa: PLR2004
            raise RemoteProtocolError(502, "204 encapsulates nothing")

    def _answered(self) -> None:
        self._request = None
        if self.sending is Sending.AWAITING:
            self.sending = Sending.SENT  # what was held back is never sent

    def _no_answer(self) -> ConnectionEnded | None:
        event = self._nothing()
        if event is not None:
            self.closing = True
            if self._request is not None:
                raise RemoteProtocolError(502, "the connection ended before the answer")
        return event


def _check(request: Request, data: bytes) -> None:
    """Read our own request as the server will: what it would refuse is not sent."""
    head, _, encapsulated = data.partition(b"\r\n\r\n")
    try:
        _, layout = parse_request_head(head)
        if layout.request_end:
            cut_head(encapsulated, 0, layout.request_end)
        if layout.has_response:
            cut_head(encapsulated, layout.request_end, layout.size)
    except RemoteProtocolError as error:
        raise LocalProtocolError(str(error)) from error
    if len(encapsulated) != layout.size or (layout.body is not None) is not request.body:
        raise LocalProtocolError("the request's headers say what it does not encapsulate")
