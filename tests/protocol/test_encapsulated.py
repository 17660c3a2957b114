"""The Encapsulated header and the heads it cuts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.protocol import RemoteProtocolError
from icapd.protocol.abnf import MAX_HTTP_HEADS
from icapd.protocol.encapsulated import Layout, cut_head, parse_encapsulated, request_layout, response_layout


@pytest.mark.parametrize(
    ("method", "value", "layout"),
    [
        (b"OPTIONS", b"null-body=0", Layout(0, False, 0, None)),
        (b"OPTIONS", b"opt-body=0", Layout(0, False, 0, b"opt-body")),
        (b"REQMOD", b"req-hdr=0, null-body=170", Layout(170, False, 170, None)),
        (b"REQMOD", b"req-hdr=0,req-body=170", Layout(170, False, 170, b"req-body")),
        (b"REQMOD", b" \treq-hdr=0 ,\t req-body=0000000170 ", Layout(170, False, 170, b"req-body")),
        (b"RESPMOD", b"req-hdr=0, res-hdr=9, res-body=20", Layout(9, True, 20, b"res-body")),
        (b"RESPMOD", b"res-hdr=0, null-body=20", Layout(0, True, 20, None)),
        (b"RESPMOD", b"req-hdr=0, res-body=20", Layout(20, False, 20, b"res-body")),
        (b"RESPMOD", b"res-body=0", Layout(0, False, 0, b"res-body")),
    ],
)
def test_legal_requests(method: bytes, value: bytes, layout: Layout) -> None:
    assert request_layout(method, value) == layout


@pytest.mark.parametrize(
    ("method", "value", "status"),
    [
        (b"REQMOD", b"null-body=0", 418),
        (b"REQMOD", b"req-body=0", 418),
        (b"RESPMOD", b"null-body=0", 418),
        (b"REQMOD", b"res-hdr=0, null-body=4", 400),
        (b"REQMOD", b"req-hdr=0, res-body=4", 400),
        (b"RESPMOD", b"req-hdr=0, req-body=4", 400),
        (b"OPTIONS", b"req-hdr=0, null-body=4", 400),
        (b"REQMOD", b"req-hdr=0, opt-body=4", 400),
    ],
)
def test_entities_that_the_method_does_not_carry(method: bytes, value: bytes, status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        request_layout(method, value)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b",",
        b"req-hdr=0",
        b"req-hdr=0,",
        b"req-hdr=0, req-hdr=4, null-body=8",
        b"null-body=0, req-hdr=4",
        b"req-body=0, null-body=4",
        b"res-hdr=0, req-hdr=4, null-body=8",
        b"req-hdr=4, null-body=8",
        b"null-body=4",
        b"req-hdr=0, null-body=0",
        b"req-hdr=0, res-hdr=9, null-body=9",
        b"req-hdr=0, res-hdr=9, null-body=5",
        b"req-hdr=0, null-body=-1",
        b"req-hdr=0, null-body=+4",
        b"req-hdr=0, null-body=0x4",
        b"req-hdr=0, null-body=4.0",
        b"req-hdr=0, null-body=1_0",
        b"req-hdr=0, null-body= 4",
        b"req-hdr =0, null-body=4",
        b"req-hdr=0, null-body=\xd9\xa1",
        b"req-hdr=0, null-body=18446744073709551620",
        b"req-hdr=0; null-body=4",
        b"foo-hdr=0, null-body=4",
        b"req-hdr=0, " + b" " * 500 + b"null-body=4",
    ],
)
def test_values_that_readers_could_read_differently(value: bytes) -> None:
    for parse in (parse_encapsulated, response_layout):
        with pytest.raises(RemoteProtocolError) as caught:
            parse(value)
        assert caught.value.status == 400


def test_limit() -> None:
    assert parse_encapsulated(b"req-hdr=0, null-body=%d" % MAX_HTTP_HEADS)[-1][1] == MAX_HTTP_HEADS
    for size in (MAX_HTTP_HEADS + 1, 2**32 + 4, 9_999_999_999):
        with pytest.raises(RemoteProtocolError) as caught:
            parse_encapsulated(b"req-hdr=0, null-body=%d" % size)
        assert caught.value.status == 413


@given(st.text(alphabet="reqshdrboynulpt-=, 0129\t", max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        entities = parse_encapsulated(text.encode())
    except RemoteProtocolError:
        return
    offsets = [offset for _, offset in entities]
    assert offsets == sorted(set(offsets))
    assert offsets[0] == 0


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\n\r\n", b"A\r\n B\r\n\r\n", b"\xff\r\n\r\n"])
def test_cut_head(head: bytes) -> None:
    assert cut_head(b"before" + head + b"after", 6, 6 + len(head)) == head


@pytest.mark.parametrize(
    "head",
    [
        b"x",
        b"abc",
        b"\r\n",
        b"\r\n\r",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\n\n",
        b"A\r\n\r\nB\r\n\r\n",
        b"A\r\n\r\n\r\n",
        b"A\r\n\r\nB",
        b"A\nB\r\n\r\n",
        b"A\rB\r\n\r\n",
        b"A\r\r\n\nB\r\n\r\n",
        b"A\0\r\n\r\n",
    ],
)
def test_heads_that_readers_could_cut_differently(head: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        cut_head(head, 0, len(head))
    assert caught.value.status == 400
