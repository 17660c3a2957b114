"""ICAP heads, and what its caches may hold."""

import pytest

from icapd.protocol import RemoteProtocolError
from icapd.protocol import head as heads
from icapd.protocol.abnf import MAX_FIELDS, MAX_LINE
from icapd.protocol.head import parse_fields, parse_request_head, parse_response_head, tokens

TAIL = b"\r\nHost: h\r\nEncapsulated: req-hdr=0, null-body=9"


def status_of(head: bytes) -> int:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_request_head(head)
    return caught.value.status


def test_request() -> None:
    request, layout = parse_request_head(
        b"REQMOD icap://h/s?mode=x ICAP/1.0\r\nhOsT:h\r\nAllow: 204 ,Trailers\r\nPreview: 0"
        b"\r\nX-A: b\r\n c \r\nX-a:d"
        b"\r\nEncapsulated: req-hdr=0,\r\n\t null-body=9"
    )
    assert (request.method, request.path, layout.size) == (b"REQMOD", b"/s", 9)
    assert request.headers[b"x-a"] == b"b c, d"
    assert request.headers[b"host"] == b"h"
    assert request.allow == {b"204", b"trailers"}
    assert (request.preview, request.close, request.body) == (0, False, None)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"", 400),
        (b"REQMOD", 400),
        (b"REQMOD icap://h/s", 400),
        (b"REQMOD  icap://h/s ICAP/1.0", 400),
        (b"REQMOD icap://h/s ICAP/1.0 ", 400),
        (b"REQMOD icap://h/ s ICAP/1.0", 400),
        (b"REQMOD icap://h/s\t ICAP/1.0", 400),
        (b"REQMOD icap://h/\xe4 ICAP/1.0", 400),
        (b"REQMOD icap://h/s icap/1.0", 400),
        (b"REQMOD icap://h/s ICAP/1", 400),
        (b"REQMOD icap://h/s HTTP/1.0", 400),
        (b"REQMOD /s ICAP/1.0", 400),
        (b"REQMOD * ICAP/1.0", 400),
        (b"R(Q icap://h/s ICAP/1.0", 400),
        (b"REQMOD icap://h/s ICAP/2.0", 505),
        (b"REQMOD icap://h/s ICAP/1.1", 505),
        (b"REQMOD icap://h/s ICAP/01.0", 505),
        (b"PUT icap://h/s ICAP/1.0", 501),
        (b"reqmod icap://h/s ICAP/1.0", 501),
        (b"REQMOD icap://h/" + b"s" * MAX_LINE + b" ICAP/1.0", 400),
    ],
)
def test_request_lines(line: bytes, status: int) -> None:
    assert status_of(line + TAIL) == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"", 400),
        (b"\r\nHost: h", 400),
        (b"\r\nEncapsulated: req-hdr=0, null-body=9", 400),
        (TAIL + b"\r\n: x", 400),
        (TAIL + b"\r\nX", 400),
        (TAIL + b"\r\nX : y", 400),
        (TAIL + b"\r\nX: \0", 400),
        (TAIL + b"\r\nX: a\rb", 400),
        (TAIL + b"\r\nX: a\nb", 400),
        (TAIL + b"\r\nX: a\r\n b\nc", 400),
        (b"\r\n folded" + TAIL, 400),
        (TAIL + b"\r\nPreview: abc", 400),
        (TAIL + b"\r\nPreview: -1", 400),
        (TAIL + b"\r\nPreview: +1", 400),
        (TAIL + b"\r\nPreview: 1_0", 400),
        (TAIL + b"\r\nPreview:", 400),
        (TAIL + b"\r\nPreview: 99999999999", 400),
        (TAIL + b"\r\nPreview: 1\r\nPreview: 2", 400),
        (TAIL + b"\r\nEncapsulated: req-hdr=0, null-body=9", 400),
    ],
)
def test_fields(fields: bytes, status: int) -> None:
    assert status_of(b"REQMOD icap://h/s ICAP/1.0" + fields) == status


def test_options_needs_neither_host_nor_encapsulated() -> None:
    request, layout = parse_request_head(b"OPTIONS icap://h ICAP/1.0")
    assert (request.path, layout.size, layout.body) == (b"/", 0, None)


def test_response() -> None:
    head = parse_response_head(b'ICAP/1.0 200 All Good\r\nISTag: "x"\r\nEncapsulated: res-hdr=0, res-body=9')
    assert (head.status, head.reason, head.layout.body) == (200, "All Good", b"res-body")
    assert head.fields[b"istag"] == b'"x"'


def test_many_lines_are_refused_before_they_are_joined() -> None:
    assert parse_fields([b"a: b"] * MAX_FIELDS)[b"a"].count(b"b") == MAX_FIELDS
    with pytest.raises(RemoteProtocolError):
        parse_fields([b"a: b"] * (MAX_FIELDS + 1))


def test_caches_are_bounded_in_number_and_in_length() -> None:
    before = heads._known_tokens.cache_info().currsize
    assert len(tokens(b",".join(b"%d" % n for n in range(10_000)))) == 10_000
    assert heads._known_tokens.cache_info().currsize == before
    for number in range(heads._MAX_KNOWN_LINES + 10):
        parse_fields([b"X: %d" % number, b"Y: " + b"%d" % number * 300])
    assert len(heads._KNOWN_LINES) <= heads._MAX_KNOWN_LINES
    assert max(map(len, heads._KNOWN_LINES)) <= heads._MAX_KNOWN_LENGTH
    for number in range(300):
        tokens(b"t%d" % number)
    assert heads._known_tokens.cache_info().currsize <= 256
    assert heads.parse_request_line.cache_info().maxsize == 256


def test_a_fault_is_not_remembered_as_sound() -> None:
    for _ in range(3):
        with pytest.raises(RemoteProtocolError):
            parse_fields([b"A: b", b"bad line"])
        assert parse_fields([b"A: b"]) == {b"a": b"b"}
