"""Accept-Encoding and Range as they are sent on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.edits import CODINGS, readable_codings, scannable, scannable_at_a_glance
from icapd.http import RequestHead


@pytest.mark.parametrize(
    "value",
    [
        "",
        "gzip",
        "gzip, deflate, br, zstd",
        "GZIP;q=0.5, identity;q=0",
        "br;q=1.0, dcb;q=0",
        "*;q=0",
        "x-gzip",
    ],
)
def test_what_can_be_decoded_stays(value: str) -> None:
    assert readable_codings(value) is None


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("gzip, deflate, br, zstd, dcb, dcz", "gzip, deflate, br, zstd"),
        ("dcb", "identity"),
        ("compress, gzip;q=0.5", "gzip;q=0.5"),
        ("*", "gzip, deflate, br, zstd"),
        ("br;q=0, *;q=0.3", "br;q=0, gzip;q=0.3, deflate;q=0.3, zstd;q=0.3"),
        ("gzip, *;" + "x" * 500 + ";q=0.5", "gzip, deflate;q=0.5, br;q=0.5, zstd;q=0.5"),
        ("gzip;q=1, rubbish;q=0.0001", "gzip;q=1"),
        ("d\xe4, gzip", "identity"),
    ],
)
def test_what_cannot_be_decoded_goes(value: str, wanted: str) -> None:
    assert readable_codings(value) == wanted


_elements = st.lists(
    st.tuples(
        st.sampled_from([*CODINGS, "identity", "dcb", "compress", "*", "x"]),
        st.sampled_from(["", ";q=0", "; q=0.5"]),
    ),
    max_size=6,
)


@given(_elements)
def test_nothing_is_accepted_that_cannot_be_decoded(elements: list[tuple[str, str]]) -> None:
    value = ", ".join(name + q for name, q in elements)
    edited = readable_codings(value)
    left = value if edited is None else edited
    accepted = {part.split(";")[0].strip() for part in left.split(",") if not part.endswith("q=0")}
    assert accepted <= {*CODINGS, "identity", ""}
    assert readable_codings(left) is None
    if value:
        assert left


def head(*lines: str) -> RequestHead:
    return RequestHead(
        "".join(f"{line}\r\n" for line in ("GET http://a/ HTTP/1.1", *lines, "")).encode("latin-1")
    )


def edited(request: RequestHead, *, drops_range: bool = False) -> bytes | None:
    return scannable(request.raw, request.headers, drops_range=drops_range)


def test_a_head_that_needs_nothing_is_left_alone() -> None:
    assert edited(head("Host: a", "Accept-Encoding: gzip", "Range: bytes=0-1")) is None
    assert edited(head("Host: a"), drops_range=True) is None


def test_several_fields_become_one() -> None:
    request = head("Accept-Encoding: gzip,", "Host: a", "accept-encoding:dcb,\r\n br", "X: y")
    wanted = head("Host: a", "X: y", "Accept-Encoding: gzip, br")
    assert edited(request) == wanted.raw


def test_a_range_goes_with_its_condition() -> None:
    request = head("Range: bytes=0-1,\r\n 5-", "If-Range: x", "X-Range: stays", "Host: a", "RANGE: bytes=1-")
    assert edited(request, drops_range=True) == head("X-Range: stays", "Host: a").raw


@given(
    st.lists(
        st.sampled_from(
            [
                b"Accept-Encoding: gzip, deflate",
                b"accept-encoding: gzip, deflate, br, zstd",
                b"Accept-Encoding: gzip\r\n , sdch",
                b"Accept-Encoding: sdch",
                b"Accept-Encoding : sdch",
                b"Accept-Encoding:gzip",
                b"Range: bytes=0-1",
                b"X: Range",
                b"Host: a.example",
            ]
        ),
        max_size=3,
    )
)
def test_a_glance_tells_only_what_needs_no_edit(lines: list[bytes]) -> None:
    raw = b"".join(line + b"\r\n" for line in (b"GET / HTTP/1.1", *lines, b""))
    if scannable_at_a_glance(raw.lower()):
        assert scannable(raw, RequestHead(raw).headers, drops_range=True) is None


def test_a_glance_knows_what_browsers_send() -> None:
    assert scannable_at_a_glance(b"get / http/1.1\r\naccept-encoding: gzip, deflate, br, zstd\r\n\r\n")
