"""Transcripts: bytes in, events out, bytes out, the same for every way of cutting the input.

play = Playbook(ServerConnection(), cut=1)
play.give(icap(b"OPTIONS")).sees(request(b"OPTIONS"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import pytest

from icapd.protocol import (
    Banner,
    BodyEnded,
    ConnectionEnded,
    ContinueReceived,
    DataReceived,
    Event,
    PreviewEnded,
    RemoteProtocolError,
    RequestReceived,
    ResponseReceived,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icapd.protocol import ClientConnection, ServerConnection

Seen = tuple[object, ...]

CUTS = (0, 1, 7)  # bytes a segment, 0 = all at once
BANNER = Banner(date=b"Tue, 24 Nov 2026 11:00:00 GMT", istag=b"0123456789abcdef", server=b"test")
GET = b"GET http://a.example/x?q=1 HTTP/1.1\r\nHost: a.example\r\n\r\n"
POST = b"POST http://a.example/form HTTP/1.1\r\nHost: a.example\r\nContent-Length: 999\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
END = b"0\r\n\r\n"


def icap(
    method: bytes,
    *headers: bytes,
    request: bytes = b"",
    response: bytes = b"",
    body: bytes | None = None,
    version: bytes = b"1.0",
) -> bytes:
    """Write a request by hand, apart from the code under test; `body` is chunked coding already."""
    parts, offset = [], 0
    for name, head in ((b"req-hdr", request), (b"res-hdr", response)):
        if head:
            parts.append(b"%b=%d" % (name, offset))
            offset += len(head)
    kind = {b"REQMOD": b"req-body", b"RESPMOD": b"res-body"}.get(method, b"opt-body")
    parts.append(b"%b=%d" % (b"null-body" if body is None else kind, offset))
    lines = [
        b"%b icap://icap.example/%b ICAP/%b" % (method, method.lower(), version),
        b"Host: icap.example",
        *headers,
        b"Encapsulated: " + b", ".join(parts),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + request + response + (body or b"")


def reqmod(*headers: bytes, body: bytes | None = None) -> bytes:
    """Write a REQMOD of GET, or of POST if there is a body."""
    return icap(b"REQMOD", *headers, request=GET if body is None else POST, body=body)


def respmod(*headers: bytes, body: bytes | None = None) -> bytes:
    """Write a RESPMOD of GET's answer."""
    return icap(b"RESPMOD", *headers, request=GET, response=OK, body=body)


def normal(event: Event) -> Seen:  # noqa: PLR0911  # one for each event
    """Return what must not depend on how the bytes were cut."""
    match event:
        case RequestReceived():
            body = event.body or b""
            return ("request", event.method, event.request_head, event.response_head, body, event.preview)
        case ResponseReceived():
            return ("response", event.status, event.request_head, event.response_head, event.body or b"")
        case DataReceived():
            return ("data", event.payload, event.wire)
        case BodyEnded():
            return ("end", event.trailer, event.ieof, event.original_from)
        case PreviewEnded():
            return ("preview",)
        case ContinueReceived():
            return ("continue",)
        case ConnectionEnded():
            return ("closed",)


def joined(seen: Iterable[Seen]) -> list[Seen]:
    """Join runs of data, the only events whose number depends on the cut."""
    out: list[Seen] = []
    for item in seen:
        if item[0] == "data" and out and out[-1][0] == "data":
            out[-1] = ("data", *(a + b for a, b in zip(out[-1][1:], item[1:], strict=True)))  # type: ignore[operator]
        else:
            out.append(item)
    return out


def request(
    method: bytes,
    *,
    head: bytes | None = None,
    response: bytes | None = None,
    body: bytes = b"",
    preview: int | None = None,
) -> Seen:
    """Return the normal form of a RequestReceived."""
    return ("request", method, head, response, body, preview)


def data(payload: bytes) -> Seen:
    """Return the form of data that a transcript compares: its payload."""
    return ("data", payload)


def end(trailer: bytes = b"", *, ieof: bool = False, original_from: int | None = None) -> Seen:
    """Return the normal form of a BodyEnded."""
    return ("end", trailer, ieof, original_from)


PREVIEW: Seen = ("preview",)
CONTINUE: Seen = ("continue",)
CLOSED: Seen = ("closed",)


def pull(conn: ServerConnection | ClientConnection, seen: list[Seen] | None = None) -> list[Seen]:
    """Add all events that can be had now to `seen`, which has them even if an error follows."""
    seen = [] if seen is None else seen
    while (event := conn.next_event()) is not None:
        seen.append(normal(event))
        if seen[-1] == CLOSED:
            break
    return seen


class Playbook:
    """One connection, and what it saw since it was last asked."""

    def __init__(self, conn: ServerConnection | ClientConnection, cut: int = 0) -> None:
        self.conn = conn
        self.cut = cut
        self.seen: list[Seen] = []

    def give(self, stream: bytes) -> Self:
        """Let the peer send `stream`."""
        for piece in pieces(stream, self.cut):
            self.conn.receive(piece)
            pull(self.conn, self.seen)
        return self

    def ends(self) -> Self:
        """Let the peer send no more."""
        self.conn.receive(b"")
        pull(self.conn, self.seen)
        return self

    def sees(self, *expected: Seen) -> Self:
        """Compare the events, data by its payload alone."""
        if CLOSED not in self.seen:
            pull(self.conn, self.seen)
        seen = [item[:2] if item[0] == "data" else item for item in joined(self.seen)]
        seen = [item for item in seen if item != ("data", b"")]
        assert seen == list(expected)
        self.seen = []
        return self

    def breaks(self, stream: bytes, status: int, *expected: Seen, ends: bool = False) -> Self:
        """Compare the events of `stream`, and the status of the error that it ends in."""
        with pytest.raises(RemoteProtocolError) as caught:
            self.give(stream).ends() if ends else self.give(stream)
        assert caught.value.status == status, str(caught.value)
        seen = [item[:2] if item[0] == "data" else item for item in joined(self.seen)]
        assert [item for item in seen if item != ("data", b"")] == list(expected)
        self.seen = []
        return self

    def wire(self) -> bytes:
        """Return the chunked coding of the data seen so far."""
        return b"".join(item[2] for item in self.seen if item[0] == "data" and isinstance(item[2], bytes))


def pieces(stream: bytes, cut: int) -> list[bytes]:
    """Cut `stream` into segments of `cut` bytes."""
    size = cut or len(stream) or 1
    return [stream[at : at + size] for at in range(0, len(stream), size)]
