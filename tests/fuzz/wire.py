"""ICAP and HTTP as they come over the wire: heads, lists, chunks, whole connections, URLs."""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from icapd import edits
from icapd.http import (
    HeadError,
    Headers,
    RequestHead,
    ResponseHead,
    TargetError,
    authority_host,
    normal_host,
    parse_target,
)
from icapd.policy.media import content_length, media_types, members
from icapd.protocol import ClientConnection, ProtocolError, RemoteProtocolError, Request, ServerConnection
from icapd.protocol.abnf import MAX_HTTP_HEADS, MAX_ICAP_HEAD
from icapd.protocol.connection import MAX_UNREAD
from icapd.protocol.encapsulated import cut_head, parse_encapsulated, request_layout, response_layout
from icapd.protocol.events import BodyEnded, ConnectionEnded, DataReceived, PreviewEnded
from icapd.protocol.head import METHODS, parse_request_head, parse_response_head
from icapd.replies import blocked_reply, described, reply_kind
from icapd.transaction import Client, Point, Transaction
from tests.fuzz.mutation import spoilt_bytes, spoilt_text
from tests.fuzz.targets import target
from tests.protocol.playbook import GET, OK, POST, icap
from tests.protocol.strategies import cuts, spoiled, streams
from tests.server.asking import chunks, options, reqmod, respmod
from tests.server.conftest import connected, new_site, ticks
from tests.server.doubles import LOST

if TYPE_CHECKING:
    from icapd.server.site import Site

HEADS = (
    b"REQMOD icap://127.0.0.1:1344/reqmod ICAP/1.0\r\nHost: 127.0.0.1:1344\r\nDate: Tue, 24 Nov 2026 10:00:00 GMT\r\n"
    b"Encapsulated: req-hdr=0, null-body=170\r\nPreview: 0\r\nAllow: 204, trailers\r\nX-Client-IP: 192.0.2.1\r\n"
    b"X-Client-Username: YW5u\r\nX-Icapd-Fragment: 1",
    b"RESPMOD icap://h/respmod?x=1 ICAP/1.0\r\nHost: h\r\nEncapsulated: req-hdr=0, res-hdr=45, res-body=100\r\nPreview: 1024\r\n"
    b"Allow: 204, 206\r\nConnection: close\r\nX-F: a\r\n b",
    b"OPTIONS icap://[::1]:1344/reqmod ICAP/1.0\r\nHost: h",
)
ANSWERS = (
    b'ICAP/1.0 200 OK\r\nISTag: "x"\r\nEncapsulated: res-hdr=0, res-body=45\r\nConnection: close',
    b"ICAP/1.0 204 No Content\r\nEncapsulated: null-body=0",
    b"ICAP/1.0 100 Continue",
    b"ICAP/1.0 206 Partial Content\r\nEncapsulated: req-hdr=0, null-body=12",
)


def _fields_are_whole(headers: dict[bytes, bytes]) -> None:
    for name, value in headers.items():
        assert name == name.lower()
        assert not set(b"\r\n\0") & set(name + value)


def _refused_with(error: RemoteProtocolError, statuses: set[int]) -> None:
    assert error.status in statuses


@target("icap-request-head", spoilt_bytes(*HEADS), spare=2 << 20)
def request_head(head: bytes) -> None:
    try:
        request, layout = parse_request_head(head)
    except RemoteProtocolError as error:
        _refused_with(error, {400, 413, 418, 501, 505})
        return
    _fields_are_whole(request.headers)
    assert request.method in METHODS
    assert 0 <= layout.request_end <= layout.size <= MAX_HTTP_HEADS
    assert request.preview is None or 0 <= request.preview < 10**10


@target("icap-response-head", spoilt_bytes(*ANSWERS), spare=2 << 20)
def response_head(head: bytes) -> None:
    try:
        response = parse_response_head(head)
    except RemoteProtocolError as error:
        _refused_with(error, {400, 413, 502})
        return
    _fields_are_whole(response.fields)
    assert 0 <= response.status <= 999


ENTITIES = (b"req-hdr", b"res-hdr", b"req-body", b"res-body", b"opt-body", b"null-body", b"=", b", ", b"=0")


@target(
    "encapsulated",
    spoilt_bytes(
        b"req-hdr=0, null-body=170", b"req-hdr=0, res-hdr=45, res-body=100", b"opt-body=0", more=ENTITIES
    ),
    known=(
        b"req-hdr=0, res-hdr=-1, null-body=9",
        b"req-hdr=0,req-hdr=0,null-body=1",
        b"null-body=" + b"9" * 300,
    ),
)
def encapsulated(value: bytes) -> None:
    for read in (
        parse_encapsulated,
        response_layout,
        *[functools.partial(request_layout, one) for one in METHODS],
    ):
        with contextlib.suppress(RemoteProtocolError):
            read(value)  # type: ignore[operator]
    with contextlib.suppress(RemoteProtocolError):
        offsets = [offset for _, offset in parse_encapsulated(value)]
        assert offsets == sorted(set(offsets))
        assert offsets[0] == 0


CHUNKED = (
    b"5\r\nhello\r\n0\r\n\r\n",
    b"005;a=b\r\nhello\r\n0; ieof\r\n\r\n",
    b"A\r\n0123456789\r\n0; use-original-body=7\r\nX-Sum: 1\r\n\r\n",
    b"0\r\n\r\n",
)
SIZES = (b"+5", b"-5", b"0x5", b"5_0", b" 5", b"5 ", b"7fffffffffffffff", b"ffffffffffffffff", b"8000000000000000",
         b"0" * 20, b"\n", b"5\r\n", b"; ieof", b";\n", b"\xd9\xa5")  # fmt: skip


def _pulled(conn: ServerConnection | ClientConnection, data: bytes) -> int:
    """Feed all of it, byte by byte at the start; return how much payload came."""
    payload = 0
    for piece in filter(None, (*(data[i : i + 1] for i in range(min(len(data), 64))), data[64:])):
        conn.receive(piece)
        while (event := conn.next_event()) is not None:
            if isinstance(event, DataReceived):
                payload += len(event.payload)
                assert all(0 <= start <= end <= len(event.wire) for start, end in event.spans)
            if isinstance(event, PreviewEnded):
                assert isinstance(conn, ServerConnection)
                conn.send_continue()
            if isinstance(event, (ConnectionEnded, BodyEnded)):
                return payload
        assert conn.unread <= MAX_UNREAD
    conn.receive(b"")
    while (event := conn.next_event()) is not None and not isinstance(event, (ConnectionEnded, BodyEnded)):
        assert not isinstance(event, DataReceived)
    return payload


@target(
    "chunks-of-a-request",
    spoilt_bytes(*CHUNKED, more=SIZES),
    known=(
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"FFFFFFFFFFFFFFFFF\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    ),
)
def request_chunks(body: bytes) -> None:
    conn = ServerConnection()
    conn.receive(icap(b"REQMOD", request=POST, body=b""))
    assert conn.next_event() is not None
    with contextlib.suppress(RemoteProtocolError):
        assert _pulled(conn, body) <= len(body)


@target("chunks-of-an-answer", spoilt_bytes(*CHUNKED, more=SIZES))
def answer_chunks(body: bytes) -> None:
    conn = ClientConnection()
    conn.send_request(Request(method=b"REQMOD", uri=b"icap://h/s", host=b"h", request_head=GET))
    conn.receive(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=%d\r\n\r\n" % len(OK) + OK)
    assert conn.next_event() is not None
    with contextlib.suppress(RemoteProtocolError):
        assert _pulled(conn, body) <= len(body)


@target(
    "answers",
    spoilt_bytes(
        *[a + b"\r\n\r\n" + OK + body for a, body in zip(ANSWERS, CHUNKED, strict=True)], more=SIZES
    ),
)
def answers(data: bytes) -> None:
    conn = ClientConnection()
    conn.send_request(Request(method=b"REQMOD", uri=b"icap://h/s", host=b"h", request_head=GET))
    with contextlib.suppress(ProtocolError):
        assert _pulled(conn, data) <= len(data)


@functools.cache
def site() -> Site:
    """One site for all streams; its folder lives as long as the process."""
    folder = tempfile.TemporaryDirectory(prefix="icapd-fuzz")
    atexit.register(folder.cleanup)
    return new_site(Path(folder.name))


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    """Draw a stream that is whole, spoilt, or some of both, and a way to cut it."""
    data = draw(spoiled() | streams() | STREAMS)
    return draw(cuts(data))


STREAMS = spoilt_bytes(
    reqmod() + reqmod("http://bad.example/"),
    reqmod("a.example:443", "CONNECT", lines=("Allow: 204", "X-Icapd-Fragment: 1", "X-Client-Port: 4000")),
    reqmod(method="POST", body=chunks(b"form", b"x" * 300)),
    respmod(body=chunks(b"hello", b"lo")),
    respmod(lines=("Allow: 204, 206", "Preview: 4"), body=b"4\r\nhell\r\n0\r\n\r\n" + chunks(b"o")),
    options() + reqmod("http://old.example/?a=b"),
    more=SIZES,
)


@target("connection", cut_streams(), spare=4 << 20)
def connection(pieces: list[bytes]) -> None:
    """After any input the connection has answered, waits for more, or has closed; it holds a bounded rest."""
    here = site()
    protocol, link = connected(here)
    try:
        for piece in pieces:
            if link.ended:
                break
            protocol.dataReceived(piece)
            assert protocol.conn.unread <= MAX_UNREAD + MAX_ICAP_HEAD
        if not link.ended and link.sent:
            assert link.sent.startswith(b"ICAP/1.0 ")
        ticks(here, 8)  # longer than a head, a body and the linger may take
        waits = not protocol.conn.unread and not protocol.conn.reading_body
        assert link.ended or waits or link.held
    finally:
        protocol.connectionLost(LOST)
        here.connections.clear()
        here.decisions.flush()


HTTP = (
    b"GET http://a.example/x?q=1 HTTP/1.1\r\nHost: a.example\r\nAccept: text/html\r\nAccept-Encoding: gzip, br;q=0.5, *;q=0\r\n"
    b"Range: bytes=0-9\r\nContent-Length: 5\r\nUser-Agent: x\r\n\r\n",
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
    b"POST /form HTTP/1.0\r\nHost: a.example\r\nContent-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"NONE [::1]:443 HTTP/1.1\r\nSec-Fetch-Dest: image\r\nOrigin: http://b.example\r\n folded\r\n\r\n",
)


@target("http-request-head", spoilt_bytes(*HTTP, *HTTP[:1] * 2), spare=2 << 20)
def http_request(raw: bytes) -> None:
    with contextlib.suppress(HeadError):
        RequestHead(raw)
    try:
        head = RequestHead(cut_head(raw, 0, len(raw)))  # what all heads have gone through
    except RemoteProtocolError:
        return
    except HeadError:
        return
    items = head.headers.items()
    assert all(b"\r\n" not in name + value for name, value in items)
    for name in (b"host", b"content-type", b"accept"):
        assert all(b"\r\n" not in value for value in head.headers.get_all(name))
        head.headers.is_only(name, b"x")
    with contextlib.suppress(HeadError):
        content_length(head.headers)
    with contextlib.suppress(TargetError):
        assert head.url.text.isascii()
        assert head.url.text.isprintable()
    _replies(head)
    edited = edits.scannable(raw, head.headers, drops_range=True)
    if edited is not None:
        assert edited.count(b"\r\n\r\n") == raw.count(b"\r\n\r\n")
        assert b"identity" in edited.lower() or len(edited) <= len(raw) + 200


def _replies(head: RequestHead) -> None:
    reply_kind(head)
    described(head, fits=True)
    tx = Transaction(Point.REQMOD, Client("192.0.2.1"), head)
    first, _ = blocked_reply(tx, lambda: b"page", "id", fits=False, close=True)
    assert first.endswith(b"\r\n\r\n")
    assert first.count(b"\r\n\r\n") == 1
    assert b"\n" not in first.replace(b"\r\n", b"")


RESPONSES = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Encoding: gzip, br\r\nContent-Length: 5\r\n\r\n",
    b'HTTP/1.0 302\r\nLocation: /x\r\nContent-Disposition: attachment; filename="a.exe"\r\n\r\n',
)


@target("http-response-head", spoilt_bytes(*RESPONSES))
def http_response(raw: bytes) -> None:
    try:
        head = ResponseHead(raw)
    except HeadError:
        return
    assert 0 <= head.status <= 999
    assert all(name == name.lower() for name in media_types(head.headers))
    with contextlib.suppress(HeadError):
        length = content_length(head.headers)
        assert length is None or 0 <= length < 1 << 63


URLS = (
    "http://a.example/x?q=1#f", "https://user:pass@a.example:8443/a/../b;c", "a.example:443", "[::1]:443", "http://[::ffff:1.2.3.4]/",
    "http://0x7f.1/", "http://xn--bcher-kva.example/%41", "http://b\u00fccher.example/", "http://127.0.0.1.:80/..%2f", "ftp://a/b",
    "http://a.example\\@b.example/", "//a.example/", "/only/path", "*", "http:a.example", "http://1.2.3.4.5/", "http://a..example/",
)  # fmt: skip
ODD_URLS = ("%2e%2e", "%2f", "%5c", "\\", "%25", "%u0041", "\u3002", "\uff0e", "\u2100", "xn--", "0x", "0177.", "%00", "\u00ad", "[v1.x]",
            "http://", ":0", ":65536", "%", "\t", "\u1e9e", "\u0661", "a" * 64, "\x7f", "\u212a")  # fmt: skip


@target(
    "url",
    st.tuples(st.sampled_from(["GET", "CONNECT", "NONE", "get"]), spoilt_text(*URLS, more=ODD_URLS)),
    known=(
        ("GET", "http://h/%%34%31"),
        ("GET", "http://h/%2e%2e%2f..;/\\"),
        ("GET", "http://h/?%25%32%35"),
        ("GET", "http://0/"),
    ),
    spare=2 << 20,
)
def url(value: tuple[str, str]) -> None:
    method, text = value
    try:
        once = parse_target(method, text, Headers(b"\r\nHost: h.example\r\n\r\n"))
    except TargetError:
        return
    assert once.text.isascii()
    assert once.text.isprintable()
    assert not set(' "<>\\^`{|}') & set(once.host)
    assert "@" not in once.text.partition("://")[2].partition("/")[0]
    again = parse_target("CONNECT" if once.path is None else "GET", once.text)
    assert again == once


@target(
    "host",
    spoilt_text(
        "a.example", "1.2.3.4", "::1", "[::1]:80", "b\u00fccher.example.", "0x7f000001", more=ODD_URLS
    ),
)
def host(text: str) -> None:
    with contextlib.suppress(TargetError):
        authority_host(text)
    try:
        found = normal_host(text)
    except TargetError:
        return
    assert found
    assert found.isascii()
    assert found == normal_host(found)
    assert not set("/@ ?#%\\\r\n\0") & set(found)


@target("comma-lists", spoilt_text('text/html, "a,b";q=1, c', "gzip, br;q=0.5, *;q=0", "identity;q=0, x"))
def comma_lists(value: str) -> None:
    assert all(members(value))
    written = edits.readable_codings(value)
    assert "\n" in value or written is None or "\n" not in written
    assert len(list(itertools.islice(members(value), 10**6))) <= len(value) + 1
