"""Undoing compression in bounded steps: content codings of HTTP, and files of one compressed stream.

What could be decoded before a stream breaks always comes out: browsers show it, so it is scanned. Sources:
RFC 9110 §8.4.1, RFC 1950-1952, RFC 7932 (br), RFC 8878 and RFC 9659 (zstd and its window in HTTP).
"""

from __future__ import annotations

import bz2
import importlib
import lzma
import sys
import zlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Iterator

STEP = 1 << 16  # bytes out of a decoder at a time
_TAKEN = 1 << 14  # bytes into it: so much finer is it known what came of what
_ALIASES = {"x-gzip": "gzip", "x-deflate": "deflate", "x-zstd": "zstd", "brotli": "br"}
# Misnomers that say nothing of a coding: senders put charsets and transfer encodings here.
_NO_CODING = frozenset(
    ["identity", "none", "utf-8", "utf8", "iso-8859-1", "us-ascii", "7bit", "8bit", "binary"]
)
_WINDOW = 27  # log2 of bytes a zstd stream may look back: zstd's own default bound
_LZMA_MEMORY = 160 << 20  # dictionaries up to 128 MiB


class Broken(Exception):  # noqa: N818  (content is broken, not we)
    """A stream breaks or ends early: its text says how; all before it has come out."""


class Chunk(bytes):
    """A piece of output; `read` counts the bytes that it and all before it were made of, or some more."""

    read = 0

    @classmethod
    def of(cls, data: bytes, read: int) -> Chunk:
        """Return data as such a piece."""
        chunk = cls(data)
        chunk.read = read
        return chunk


class Sealed(Broken):
    """What a stream holds is encrypted."""


class Decoder(Protocol):
    """The interface of bz2's decompressor, which lzma's and zstd's share."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out without input."""

    @property
    def unused_data(self) -> bytes:
        """What follows the stream, once it has ended."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Take input, return at most `max_length` bytes."""


class _Deflate:
    """Raw deflate with that interface."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(-15)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail and not self._full

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max(0, max_length))
        self._full = len(out) == max_length and not self._inner.eof
        return out


class _Brotli:
    """Brotli with that interface; what follows the stream is not told."""

    unused_data = b""

    def __init__(self) -> None:
        import brotli  # noqa: PLC0415  (children only, and only when it comes up)

        self._inner = brotli.Decompressor()
        self._more = False

    @property
    def eof(self) -> bool:
        return bool(self._inner.is_finished())

    @property
    def needs_input(self) -> bool:
        return bool(self._inner.can_accept_more_data()) and not self._more

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = bytes(self._inner.process(data, output_buffer_limit=max_length))
        self._more = bool(out)  # it may hold output although it has no input left
        return out


def _zstd() -> Decoder:
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    zstd = importlib.import_module(name)
    decoder: Decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW})
    return decoder


def _lzma(kind: int) -> Callable[[], Decoder]:
    return lambda: lzma.LZMADecompressor(kind, memlimit=_LZMA_MEMORY)


def raw_lzma(properties: bytes, size: int) -> Callable[[], Decoder]:
    """Return a maker of decoders for LZMA1 with the five bytes of properties a zip member has.

    `size` is of what comes out, 0 if an end mark tells.
    """
    header = properties + (size.to_bytes(8, "little") if size else b"\xff" * 8)  # as .lzma has it
    return lambda: _Headed(header)


class _Headed:
    """An .lzma decoder that has been given the header already."""

    def __init__(self, header: bytes) -> None:
        self._inner = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA_MEMORY)
        self._inner.decompress(header)
        self.decompress = self._inner.decompress

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return self._inner.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


DEFLATE: Callable[[], Decoder] = _Deflate
DECODERS: dict[str, Callable[[], Decoder]] = {
    "br": _Brotli,
    "bzip2": bz2.BZ2Decompressor,
    "xz": _lzma(lzma.FORMAT_XZ),
    "lzma": _lzma(lzma.FORMAT_ALONE),
    "zstd": _zstd,
}
ENDINGS = (".br", ".lzma")  # of names of files whose content does not tell; as DECODERS has them, with a dot
CODINGS = frozenset({"gzip", "deflate", "br", "zstd"})


def known(codings: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of codings as here, in order, without what is none."""
    lower = (name.strip().lower() for name in codings)
    named = (_ALIASES.get(name, name) for name in lower)
    return tuple(name for name in named if name and name not in _NO_CODING)


def undo(name: str, data: memoryview | mmap.mmap | bytes) -> Iterator[bytes]:
    """Decode all of `data`; pieces of at most STEP bytes, b"" between streams.

    Raises Broken after all that could be decoded. `name` is one of CODINGS or DECODERS.
    """
    if name == "gzip":
        return _gunzip(data)
    if name == "deflate":
        return _inflate(data)
    return _streams(DECODERS[name], data)


def one_stream(
    make: Callable[[], Decoder], data: memoryview | mmap.mmap | bytes, start: int = 0, base: int = 0
) -> Iterator[bytes | int]:
    """Decode one stream; the last value is the offset after it.

    What is read is counted from `base`. Raises Broken if it breaks or ends early.
    """
    decoder = make()
    at, size = start, len(data)
    came = 0
    while not decoder.eof:
        piece = b""
        if decoder.needs_input:
            if at >= size:
                raise Broken("ends early")
            piece = bytes(data[at : at + _TAKEN])
        try:
            out = decoder.decompress(piece, STEP)
        except Exception as error:  # noqa: BLE001  (brotli's and zstd's own classes, not imported here)
            yield from _to_the_break(make, data, start, came)
            raise Broken(f"broken data ({_reason(error)})") from None
        at += len(piece)
        came += len(out)
        if out:
            yield Chunk.of(out, at - base)
    yield at - len(decoder.unused_data)


def _reason(error: Exception) -> str:
    return str(error)[:80] or type(error).__name__


def _to_the_break(
    make: Callable[[], Decoder], data: memoryview | mmap.mmap | bytes, start: int, came: int
) -> Iterator[bytes]:
    """Decode again to where it breaks: what the failing step had made is lost otherwise."""
    decoder = make()
    passed = 0
    at = start
    size = 64 if len(data) - start > STEP else 1
    try:
        while not decoder.eof and at < len(data):
            piece = bytes(data[at : at + size]) if decoder.needs_input else b""
            out = decoder.decompress(piece, STEP)
            at += len(piece)
            passed += len(out)
            if passed > came:
                yield out[-(passed - came) :]
                came = passed
    except Exception:  # noqa: BLE001  (there it is)
        return


def _streams(
    make: Callable[[], Decoder], data: memoryview | mmap.mmap | bytes, at: int = 0
) -> Iterator[bytes]:
    """Decode streams one after the other; what follows the first and is none is passed over."""
    first = True
    while at < len(data):
        try:
            for out in one_stream(make, data, at):
                if isinstance(out, int):
                    at = out
                else:
                    yield out
        except Broken:
            if first:
                raise
            return
        first = False
        yield b""
    if first:
        raise Broken("empty")


def _gunzip(data: memoryview | mmap.mmap | bytes) -> Iterator[bytes]:
    at, first = 0, True
    while at < len(data):
        start = _gzip_header(data, at)
        if start is None:
            if first:
                raise Broken("no gzip header")
            return  # garbage after the last member
        crc = size = 0
        for out in one_stream(DEFLATE, data, start):
            if isinstance(out, int):
                at = out
            else:
                crc, size = zlib.crc32(out, crc), size + len(out)
                yield out
        trailer = bytes(data[at : at + 8])
        if len(trailer) < 8:  # noqa: PLR2004
            raise Broken("ends early")
        if trailer != crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little"):
            raise Broken("wrong check sum")
        at += 8
        first = False
        yield b""
    if first:
        raise Broken("empty")


def _gzip_header(data: memoryview | mmap.mmap | bytes, at: int) -> int | None:
    """Return the offset after a gzip header, or None if there is none."""
    head = bytes(data[at : at + 10])
    if len(head) < 10 or head[:3] != b"\x1f\x8b\x08":  # noqa: PLR2004
        return None
    flags, end = head[3], at + 10
    if flags & 4:
        end += 2 + int.from_bytes(data[end : end + 2], "little")
    for flag in (8, 16):  # name, comment
        if flags & flag:
            zero = bytes(data[end : end + STEP]).find(b"\0")
            if zero < 0:
                return None
            end += zero + 1
    return end + 2 if flags & 2 else end


def _inflate(data: memoryview | mmap.mmap | bytes) -> Iterator[bytes]:
    """Undo HTTP's deflate: zlib, or the raw format that some servers send."""
    head = bytes(data[:2])
    is_zlib = len(head) > 1 and head[0] & 15 == 8 and int.from_bytes(head, "big") % 31 == 0  # noqa: PLR2004
    if is_zlib and not head[1] & 32:
        came = False
        try:
            for out in one_stream(DEFLATE, data, 2):
                if not isinstance(out, int):
                    came = True
                    yield out
        except Broken:
            if came:
                raise
        else:
            return
    yield from (out for out in one_stream(DEFLATE, data) if not isinstance(out, int))
