"""Lines, whatever their bytes are."""

from __future__ import annotations

from tests.lists.reading import ignored, taken

NO_DOT = "a name without a dot: it would cover a whole top-level domain"


def test_bytes_that_are_no_utf8_are_told() -> None:
    assert ignored("domains", b"a.example\n\xff.example\n") == [(2, "not UTF-8")]


def test_a_byte_order_mark_hides_no_name() -> None:
    assert taken("domains", b"\xef\xbb\xbfa.example") == ["name a.example"]
    assert taken("domains", b"\xef\xbb\xbf") == []
    assert ignored("domains", "a.example\n".encode("utf-16")) != []


def test_a_line_over_several_blocks_is_one_line() -> None:
    data = b"a.example\n" + b"x" * 3_000_000 + b"\nb.example"
    assert taken("domains", data) == ["name a.example", "name b.example"]
    assert ignored("domains", data) == [(2, "longer than 8,192 bytes")]


def test_lines_are_counted_over_blocks() -> None:
    data = b"a.example\n" * 200_000 + b"com\n"
    assert ignored("domains", data) == [(200_001, NO_DOT)]
