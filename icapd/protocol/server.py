"""The server's side of a connection: requests in, answers out, one at a time (RFC 3507 §4.1).

States of the request: HEAD → (PREVIEW → AWAITING →) BODY → COMPLETE. The answer may be sent at any
time after RequestReceived; what then still comes of the body is read and dropped (errata e7).
When both are done the next request begins.

    event / call              from                 to
    RequestReceived           HEAD                 PREVIEW | BODY | COMPLETE (no body)
    PreviewEnded              PREVIEW              AWAITING
    BodyEnded                 PREVIEW (ieof), BODY COMPLETE
    send_continue()           AWAITING             BODY
    end of the answer         AWAITING             COMPLETE (the client holds the rest back)
    request and answer done   COMPLETE             HEAD
"""

from __future__ import annotations

import enum

from icapd.protocol.answers import CONTINUE, Answer, Banner
from icapd.protocol.chunked import ChunkReader, is_trailer, last_chunk
from icapd.protocol.connection import Connection
from icapd.protocol.encapsulated import Layout, cut_head
from icapd.protocol.errors import LocalProtocolError
from icapd.protocol.events import BodyEnded, ConnectionEnded, Event, PreviewEnded, RequestReceived
from icapd.protocol.head import parse_request_head


class State(enum.Enum):
    """How far the request has been read."""

    HEAD = enum.auto()
    PREVIEW = enum.auto()
    AWAITING = enum.auto()
    BODY = enum.auto()
    COMPLETE = enum.auto()


# Python 3.11 looks a member up on its class in Python code: as globals they cost a sixth.
HEAD, PREVIEW, AWAITING, BODY, COMPLETE = State


# What stands for a request that was read elsewhere, and for the answer to it.
ASIDE = RequestReceived(b"", b"", {}, None, None, b"res-body", None, frozenset(), close=False)
_STREAM = Answer(200, streams=True)


class ServerConnection(Connection):
    """Events of a client's requests, and the bytes that answer them."""

    __slots__ = ("_after_preview", "_answering", "_in_preview", "_pending", "closing", "request", "state")

    def __init__(self) -> None:
        super().__init__()
        self.state = HEAD
        self.request: RequestReceived | None = None  # the one being answered
        self.closing = False  # no request after this one: we said, or will say, Connection: close
        self._pending: tuple[RequestReceived, Layout] | None = None  # parsed, its heads not all there
        self._answering: Answer | None = None  # a head was sent, its body is not ended
        self._in_preview = False  # a 204 or 206 now answers a preview
        self._after_preview = False  # the last answer made its client hold back the rest of a body

    def next_event(self) -> Event | None:
        """Return the next event; None also while an answer is due. Raises RemoteProtocolError."""
        while True:
            state = self.state
            if state is HEAD:
                if self._at == len(self._buffer) and not self._eof:
                    return None
                return self._next_request()
            if state is not PREVIEW and state is not BODY:
                return None
            event = self._next_of_body(answered=self.request is None)
            if event is None:
                return None
            seen = self._body_ended(event) if isinstance(event, BodyEnded) else event
            if self.request is not None or isinstance(seen, ConnectionEnded):
                return seen
            # the answer is complete: the rest of its request is dropped
            self._step()

    def _next_request(self) -> Event | None:
        if self.closing:
            self._at = len(self._buffer)
            return self._nothing()
        pending = self._pending
        if pending is None:
            end = self._head_end()
            if end < 0:
                return self._nothing()
            pending = parse_request_head(bytes(self._buffer[self._at : end]))
            self._start = end + 4
        request, layout = pending
        start = self._start
        size = layout.size
        if len(self._buffer) - start < size and not self._has(size, start):
            self._pending = pending
            return None
        buffer = self._settle()
        self._pending = None
        self._start = -1
        middle = start + layout.request_end
        self._at = end = start + size
        if layout.request_end:
            request.request_head = cut_head(buffer, start, middle)
        if layout.has_response:
            request.response_head = cut_head(buffer, middle, end)
        # Preview with null-body: the whole body, none, is in the preview
        self._in_preview = in_preview = request.preview is not None
        if layout.body is None:
            self.state = COMPLETE
        else:
            self._reader = ChunkReader()
            self.state = PREVIEW if in_preview else BODY
        self._taken = 0
        self._after_preview = False
        self.closing = request.close
        self.request = request
        return request

    @property
    def is_fresh(self) -> bool:
        """Whether nothing is at hand: what comes next begins a request."""
        return self.state is HEAD and self._at == len(self._buffer) and not (self.closing or self._eof)

    def answered_aside(self, *, held_back: bool) -> None:
        """Note that a whole request was read and answered elsewhere, while `is_fresh`.

        `held_back`: it was a preview whose client now keeps the rest of the body to itself.
        """
        self._after_preview = held_back

    def echoed_aside(self, data: bytes, at: int) -> None:
        """Note that the heads of a request were read, and answered by a head, elsewhere, while `is_fresh`.

        Its body begins at data[at:], and is to be that of the answer.
        """
        self._buffer, self._at, self._scanned = data, at, 0
        self._reader = ChunkReader()
        self._taken = 0
        self._in_preview = self._after_preview = False
        self.state = BODY
        self.request = ASIDE
        self._answering = _STREAM

    def pass_on(self) -> bool | None:
        """Take all that is unread of a body as the same of the answer; return whether both have ended.

        None, and nothing is taken, where `next_event` has to read it.
        """
        reader, buffer = self._reader, self._buffer
        if self.state is not BODY or reader is None or type(buffer) is not bytes or self._answering is None:
            return None
        ended = reader.skim(buffer, self._at)
        if ended is None:
            return None
        self._at = len(buffer)
        if ended:
            self._end_reading()
            self.state = COMPLETE
            self._finish()
        return ended

    def _body_ended(self, event: BodyEnded) -> BodyEnded | PreviewEnded:
        self._end_reading()
        in_preview = self.state is PREVIEW
        if in_preview and not event.ieof:
            self.state = AWAITING
            return PreviewEnded()
        self.state = COMPLETE
        return event if in_preview or not event.ieof else BodyEnded(event.trailer)

    def end_body_now(self) -> BodyEnded | PreviewEnded | None:
        """Take the body as ended without the CRLF that `awaits_trailer` waits for; then close.

        Returns the event, None where nobody waits for it: the answer is complete.
        """
        reader = self._reader
        if reader is None:
            raise LocalProtocolError("no body is being read")
        event = self._body_ended(reader.end_now())
        self._at = len(self._buffer)
        self.closing = True
        if self.request is None:
            self._step()
            return None
        return event

    # -- answers ---------------------------------------------------------------------------------

    def send_continue(self) -> bytes:
        """Ask for the body past the preview: exactly `100 Continue` and nothing else."""
        if self.state is not AWAITING or self._answering is not None or self.request is None:
            raise LocalProtocolError("100 Continue answers a preview that ended without ieof, once")
        self.state = BODY
        self._in_preview = False
        self._reader = ChunkReader()
        return CONTINUE

    @property
    def may_204(self) -> bool:
        """Whether 204 is legal now: in answer to a preview, or allowed outside one (RFC 3507 §4.6)."""
        request = self.request
        return (
            request is not None
            and self._answering is None
            and (self._in_preview or b"204" in request.allow)
            and request.method != b"OPTIONS"
        )

    @property
    def may_206(self) -> bool:
        """Whether 206 is legal now: `Allow: 206` in a preview, `Allow: 204, 206` outside."""
        request = self.request
        return (
            request is not None
            and self._answering is None
            and request.body is not None
            and b"206" in request.allow
            and (self._in_preview or b"204" in request.allow)
            and request.method != b"OPTIONS"
        )

    def send_unmodified(self, banner: Banner, decision_id: str = "") -> bytes:
        """Answer 204, the shortest way: the common case of the hot path. An id that is given is told."""
        if not self.may_204:
            raise LocalProtocolError("204 was not allowed")
        if self.state is COMPLETE:  # what _finish would do
            self.request = None
            self.state = HEAD
        else:
            self._finish()
        if decision_id:
            return banner.named(decision_id, close=self.closing)
        return banner.unmodified_close if self.closing else banner.unmodified

    def send_answer(self, answer: Answer, banner: Banner) -> bytes:
        """Begin an answer, and end it if it has no body or carries it whole.

        A body that is still to come follows by `send_data` and `send_end`.
        """
        if self.request is None or self._answering is not None:
            raise LocalProtocolError("there is no request to answer")
        if answer.status == 204 and not self.may_204:  # noqa: PLR2004
            raise LocalProtocolError("204 was not allowed")
        if answer.status == 206 and not self.may_206:  # noqa: PLR2004
            raise LocalProtocolError("206 was not allowed")
        data = answer.render(banner, close=self.closing)
        if answer.streams:
            self._answering = answer
        else:
            self._finish()
        return data

    def send_data(self, wire: bytes) -> bytes:
        """Send a run of chunked coding, of DataReceived.wire or `chunk()`."""
        if self._answering is None:
            raise LocalProtocolError("no answer with a body was begun")
        return wire

    def send_end(self, trailer: bytes = b"", *, original_from: int | None = None) -> bytes:
        """End the body of the answer.

        `trailer` holds HTTP trailer fields, each ended by CRLF. `original_from` is where the client goes
        on from in the original body, an offset not past what came of it: 206 must say it.
        """
        answer = self._answering
        if answer is None:
            raise LocalProtocolError("no answer with a body was begun")
        if (original_from is None) is (answer.status == 206):  # noqa: PLR2004
            raise LocalProtocolError("use-original-body belongs to 206, which ends in nothing else")
        if original_from is not None and (trailer or not 0 <= original_from <= self.body_bytes):
            raise LocalProtocolError("use-original-body is an offset in what came of the body")
        if trailer and not is_trailer(trailer):
            raise LocalProtocolError("a trailer that is not header fields, each ended by CRLF")
        self._finish()
        return last_chunk(trailer, original_from=original_from)

    def send_error(self, status: int, banner: Banner, *, extra: bytes = b"") -> bytes:
        """Answer an ICAP error and close: `closing` is set, nothing is read any more.

        Returns b"" when an answer has begun: all that is left is to cut it, without a last-chunk. So
        too when the last answer is complete and no other may follow it: a client that reads on would
        take the error for the answer to its next request. That holds as well for the rest of a body
        that an answer to its preview had made needless.
        """
        ended = self.request is None and (self.state is not HEAD or self.closing or self._after_preview)
        begun = ended or self._answering is not None
        self.closing = True
        self._finish()
        self.state = HEAD
        self._end_reading()
        self._pending = None
        self._at = len(self._buffer)
        return b"" if begun else Answer(status, extra=extra).render(banner, close=True)

    def _finish(self) -> None:
        self._answering = None
        self.request = None
        self._step()

    def _step(self) -> None:
        if self.request is None and (self.state is COMPLETE or self.state is AWAITING):
            if self.state is AWAITING:  # the client never sends what it held back
                self._after_preview = True
            self.state = HEAD

    @property
    def answering(self) -> bool:
        """Whether an answer has begun whose body is not ended."""
        return self._answering is not None

    @property
    def draining(self) -> bool:
        """Whether the answer is complete and the rest of its request is read only to be dropped."""
        return self.request is None and (self.state is PREVIEW or self.state is BODY)
