"""Pieces: what was added is there, wherever it is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icapd.server.pieces import Pieces, payload_of

SIZES = st.sampled_from([0, 1, 7, 4095, 4096, 4097, 70_000])


@given(st.lists(SIZES, max_size=12), st.integers(0, 300_000), st.integers(0, 200_000))
def test_reads_are_of_the_whole_however_it_came(sizes: list[int], offset: int, size: int) -> None:
    pieces, whole = Pieces(), b""
    for number, each in enumerate(sizes):
        piece = bytes([number + 1]) * each
        pieces.add(memoryview(piece) if number % 2 else piece)
        whole += piece
    assert pieces.size == len(whole)
    assert b"".join(pieces.parts()) == whole
    assert pieces.read(offset, size) == whole[offset : offset + size]


def test_small_pieces_are_joined() -> None:
    pieces = Pieces()
    for _ in range(100_000):
        pieces.add(b"abc")
    assert len(pieces.parts()) < 10


def test_a_view_is_kept_of_what_is_payload_all_but_a_little() -> None:
    wire = b"2000\r\n" + b"a" * 8192 + b"\r\n" + b"2000\r\n" + b"b" * 8192 + b"\r\n"
    spans = ((6, 8198), (8206, 16398))
    pieces, size = payload_of(wire, spans)
    assert (pieces, size) == ([b"a" * 8192, b"b" * 8192], 16384)
    assert all(isinstance(piece, memoryview) for piece in pieces)
    kept = Pieces()
    kept.add(b"x")
    kept.extend(pieces, size)
    assert kept.read(8190, 6) == b"aaabbb"
    assert kept.size == 16385


def test_payload_that_is_little_of_what_came_lets_go_of_it() -> None:
    wire = b"1\r\na\r\n" * 1000
    spans = tuple((at + 3, at + 4) for at in range(0, 6000, 6))
    assert payload_of(wire, spans) == ([b"a" * 1000], 1000)
    assert payload_of(b"x" * 100_000 + b"y" * 5000, ((100_000, 105_000),)) == ([b"y" * 5000], 5000)
