"""Random ICAP: messages, streams of them, ways to cut and to spoil streams."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from tests.protocol.playbook import GET, OK, POST, icap

PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"\r\n", b"0\r\n\r\n", b"\r\n\r\n", b"OPTIONS icap://h/s ICAP/1.0\r\n\r\n", b"x" * 5000]
    ),
)
TRAILERS = st.sampled_from([b"", b"", b"", b"X-Sum: 1\r\n", b"X-A: b\r\nX-B:\r\n folded\r\n"])
EXTENSIONS = st.sampled_from([b"", b"", b"", b";a", b"; a=b", b' ; a="q\\"; ieof"', b" "])
PREVIEW_ENDS = st.sampled_from([b"0; ieof\r\n\r\n", b"0;ieof\r\n\r\n", b"0\r\n\r\n", b"00\r\n\r\n"])


@st.composite
def chunked(draw: st.DrawFn, end: bytes | None = None) -> bytes:
    """Draw a body in chunked coding, odd but legal."""
    out = []
    for payload in draw(st.lists(PAYLOADS.filter(bool), max_size=4)):
        size = b"%x" % len(payload)
        if draw(st.booleans()):
            size = b"00" + size.upper()
        out.append(size + draw(EXTENSIONS) + b"\r\n" + payload + b"\r\n")
    if end is None:
        end = b"0" + draw(EXTENSIONS) + b"\r\n" + draw(TRAILERS) + b"\r\n"
    return b"".join(out) + end


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Draw one legal request with all of its body, the part behind 100 Continue included."""
    method = draw(st.sampled_from([b"OPTIONS", b"REQMOD", b"RESPMOD"]))
    headers = draw(
        st.lists(
            st.sampled_from(
                [b"Allow: 204", b"Allow: 204, 206", b"X-A: b", b"X-F: a\r\n b", b"Connection: close", b"x-e:"]
            ),
            max_size=3,
            unique=True,
        )
    )
    body = draw(st.none() | chunked())
    if draw(st.booleans()):
        headers.append(b"Preview: %d" % draw(st.sampled_from([0, 4, 1024])))
        if body is not None:
            start = draw(chunked(draw(PREVIEW_ENDS)))
            body = start if b"ieof\r\n\r\n" in start[-10:] else start + body
    if method == b"OPTIONS":
        return icap(method, *headers, body=body)
    request = GET if method == b"RESPMOD" or body is None else POST
    return icap(method, *headers, request=request, response=OK if method == b"RESPMOD" else b"", body=body)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Draw some requests in a row, with empty lines between."""
    out = []
    for item in draw(st.lists(requests(), min_size=1, max_size=3)):
        out += [draw(st.sampled_from([b"", b"", b"\r\n", b"\r\n\r\n"])), item]
    return b"".join(out)


SPOILS = st.sampled_from(
    [
        b"",
        b"\0",
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"-",
        b"f" * 17,
        b";",
        b"0\r\n\r\n",
        b"=",
        b":",
        b"\xff",
    ]
)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """Draw a stream and replace, insert or delete bytes somewhere in it."""
    stream = draw(streams())
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(stream)))
        stop = min(len(stream), start + draw(st.sampled_from([0, 1, 2, 30])))
        stream = stream[:start] + draw(SPOILS) + stream[stop:]
    return stream


@st.composite
def cuts(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """Draw a way to cut `stream`."""
    at = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *at, len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges) if a < b]
