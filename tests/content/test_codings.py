import bz2
import gzip
import lzma
import zlib

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from icapd.content.codings import CODINGS, DECODERS, STEP, Broken, known, undo

TEXT = bytes(range(256)) * 700 + b"end"


def raw(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


MAKERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


def decoded(name: str, data: bytes) -> tuple[bytes, str | None]:
    out = []
    try:
        for chunk in undo(name, data):
            assert len(chunk) <= 2 * STEP  # brotli keeps to its bound by blocks
            out.append(chunk)
    except Broken as broken:
        return b"".join(out), str(broken)
    return b"".join(out), None


def test_there_is_a_maker_for_each() -> None:
    assert set(MAKERS) == CODINGS | set(DECODERS)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("size", [0, 1, STEP - 1, STEP, STEP + 1, len(TEXT)])
def test_undoes_each(name: str, size: int) -> None:
    assert decoded(name, MAKERS[name](TEXT[:size])) == (TEXT[:size], None)


@pytest.mark.parametrize("size", [0, 1, 1000, len(TEXT)])
def test_undoes_raw_deflate(size: int) -> None:
    assert decoded("deflate", raw(TEXT[:size])) == (TEXT[:size], None)


@pytest.mark.parametrize("name", MAKERS)
def test_a_stream_cut_short_gives_what_it_has(name: str) -> None:
    line = b"".join(b"%d bottles\n" % n for n in range(30_000))
    out, broken = decoded(name, MAKERS[name](line)[:-20])
    assert broken is not None
    assert line.startswith(out)
    if name != "bzip2":  # whose blocks are of 900 kB
        assert len(out) > len(line) // 2


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz", "zstd"])
def test_joined_streams_all_come_out(name: str) -> None:
    assert decoded(name, MAKERS[name](b"one,") + MAKERS[name](b"two")) == (b"one,two", None)


@pytest.mark.parametrize("name", ["gzip", "deflate", "bzip2", "xz", "zstd"])
def test_garbage_after_a_stream_is_passed_over(name: str) -> None:
    assert decoded(name, MAKERS[name](TEXT) + b"\0" * 300 + b"garbage") == (TEXT, None)


def test_a_wrong_check_sum_keeps_the_data() -> None:
    data = bytearray(gzip.compress(b"small"))
    data[-6] ^= 1
    assert decoded("gzip", bytes(data)) == (b"small", "wrong check sum")
    data = bytearray(zlib.compress(b"small"))
    data[-1] ^= 1
    assert decoded("deflate", bytes(data)) == (b"small", None)  # browsers do not look at it


@pytest.mark.parametrize("name", ["bzip2", "xz", "zstd", "br"])
def test_a_break_in_the_middle_keeps_what_came_before(name: str) -> None:
    line = b"".join(b"%d bottles\n" % (n * 7919 % 100_003) for n in range(200_000))
    data = bytearray(MAKERS[name](line))
    at = len(data) * 3 // 4
    data[at : at + 64] = b"\xff" * 64
    out, broken = decoded(name, bytes(data))
    assert broken is not None or out != line
    assert len(out) > len(line) // 4


@pytest.mark.parametrize("flags", range(0, 32, 2))
def test_every_gzip_header_is_skipped(flags: int) -> None:
    head = b"\x1f\x8b\x08" + bytes([flags]) + b"\0" * 6
    head += b"\x05\0extra" if flags & 4 else b""
    head += b"name\0" if flags & 8 else b""
    head += b"comment\0" if flags & 16 else b""
    head += b"\0\0" if flags & 2 else b""
    trailer = zlib.crc32(b"x").to_bytes(4, "little") + b"\1\0\0\0"
    assert decoded("gzip", head + raw(b"x") + trailer) == (b"x", None)


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_no_stream_is_broken(name: str) -> None:
    assert decoded(name, b"")[1] is not None
    assert decoded(name, b"<!doctype html><p>plain text, by mistake")[1] is not None


def test_zstd_that_wants_a_huge_window_is_broken() -> None:
    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: 30,
        zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    made = zstd.ZstdCompressor(options=options)
    data = made.compress(b"x" * 100) + made.flush()
    assert decoded("zstd", data)[1] is not None


def test_names_of_codings() -> None:
    assert known((" GZip", "", "identity", "x-gzip", "utf-8", "X-Lab")) == ("gzip", "gzip", "x-lab")


@given(st.sampled_from(sorted(MAKERS)), st.binary(max_size=2000))
def test_no_bytes_do_more_than_break(name: str, data: bytes) -> None:
    decoded(name, data)


@given(st.sampled_from(sorted(MAKERS)), st.binary(max_size=500), st.data())
def test_a_flipped_byte_does_no_more_than_break(name: str, text: bytes, data: st.DataObject) -> None:
    coded = bytearray(MAKERS[name](text * 20))
    at = data.draw(st.integers(0, len(coded) - 1))
    coded[at] ^= data.draw(st.integers(1, 255))
    decoded(name, bytes(coded))
