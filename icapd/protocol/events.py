"""What a connection saw, in the past tense; each is a value.

A bodyless message is one event. A body is any number of DataReceived and one BodyEnded; on the
server side a preview that stops before the body does is PreviewEnded, and the body goes on only
after `send_continue`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class RequestReceived:
    """An ICAP request with all its encapsulated heads.

    `method` is b"OPTIONS", b"REQMOD" or b"RESPMOD"; `path` is the service's, without the query.
    `headers` maps lower-case names to values. `body` is the entity of the body (b"req-body", b"res-body",
    b"opt-body") or None.
    `preview` is the announced preview in bytes, None where there is none.
    """

    method: bytes
    path: bytes
    headers: dict[bytes, bytes]
    request_head: bytes | None
    response_head: bytes | None
    body: bytes | None
    preview: int | None
    allow: frozenset[bytes]
    close: bool


@dataclass(slots=True, eq=False)
class ResponseReceived:
    """An ICAP response with all its encapsulated heads; `body` is its entity or None."""

    status: int
    reason: str
    headers: dict[bytes, bytes]
    request_head: bytes | None
    response_head: bytes | None
    body: bytes | None


@dataclass(frozen=True, slots=True)
class ContinueReceived:
    """100 Continue: the server wants the body past the preview (RFC 3507 §4.5)."""


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Some bytes of a body.

    `wire` is a run of legal chunked coding that may begin or end inside a chunk: runs in a row are
    the body's coding, extensions removed, so they can be sent on as they are. `spans` are (start,
    end) of the payload in `wire`.
    """

    wire: bytes
    spans: tuple[tuple[int, int], ...]

    @property
    def payload(self) -> bytes:
        """The body's own bytes in this run."""
        wire = self.wire
        if len(self.spans) == 1:
            start, end = self.spans[0]
            return wire[start:end]
        return b"".join([wire[start:end] for start, end in self.spans])


@dataclass(frozen=True, slots=True)
class PreviewEnded:
    """The preview is over and the body goes on behind it (last-chunk without ieof)."""


@dataclass(frozen=True, slots=True)
class BodyEnded:
    """The body is over: last-chunk read.

    `trailer` holds the HTTP trailer's fields as received, each ended by CRLF (errata e2). `ieof`
    tells that the preview was the whole body, ignored elsewhere.
    `original_from` is use-original-body of a 206.
    """

    trailer: bytes = b""
    ieof: bool = False
    original_from: int | None = None


@dataclass(frozen=True, slots=True)
class ConnectionEnded:
    """The peer closed between two messages, or after an answer that came before the end of its request."""


Event = (
    RequestReceived
    | ResponseReceived
    | ContinueReceived
    | DataReceived
    | PreviewEnded
    | BodyEnded
    | ConnectionEnded
)

__all__ = [
    "BodyEnded",
    "ConnectionEnded",
    "ContinueReceived",
    "DataReceived",
    "Event",
    "PreviewEnded",
    "RequestReceived",
    "ResponseReceived",
]
