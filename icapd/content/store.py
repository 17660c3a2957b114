"""Where what was unpacked lies: a descriptor for each piece, in memory if small, else an unlinked file."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.content.codings import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed import ReadableBuffer

    from icapd.content.budget import Stream

IN_MEMORY = 1 << 20  # bytes of a piece kept in a memfd; larger ones the kernel can write out
_STEP = 1 << 18
_READ = 2 << 20  # bytes of a piece that is read, not mapped: all that is asked of it is faster then


class _View(mmap.mmap):
    """A mapped file whose searches stay inside, and are those of bytes, which are much faster.

    Those of CPython 3.11's mmap read past the end, which kills the process where a page ends.
    """

    def find(self, sub: ReadableBuffer, start: int = 0, end: int = sys.maxsize) -> int:
        """Return the first place of `sub`, -1 if there is none."""
        wanted = bytes(sub)
        stop = min(end, len(self))
        for first in range(start, stop, _STEP):
            at = self[first : min(stop, first + _STEP + len(wanted) - 1)].find(wanted)
            if at >= 0:
                return first + at
        return -1

    def rfind(self, sub: ReadableBuffer, start: int = 0, end: int = sys.maxsize) -> int:
        """Return the last place of `sub`, -1 if there is none."""
        wanted = bytes(sub)
        stop = min(end, len(self))
        while stop - start >= len(wanted):
            first = max(start, stop - _STEP)
            at = self[first:stop].rfind(wanted)
            if at >= 0:
                return first + at
            if first == start:
                break
            stop = first + len(wanted) - 1
        return -1


@dataclass(slots=True)
class Piece:
    """Some content: `size` bytes from offset 0 of `fd`; digests in lower-case hex. `data`: once read."""

    fd: int
    size: int
    md5: str
    sha256: str
    data: bytes | None = field(default=None, compare=False, repr=False)

    @contextlib.contextmanager
    def mapped(self) -> Iterator[mmap.mmap | bytes]:
        """Give the content as a buffer, for as long as the context lasts."""
        if self.data is not None or self.size <= _READ:
            yield os.pread(self.fd, self.size, 0) if self.data is None else self.data
            return
        with _View(self.fd, self.size, prot=mmap.PROT_READ) as data:
            yield data


class _Digests:
    """Those of one piece, MD5 only where it is wanted: it costs more than twice what SHA-256 does."""

    def __init__(self, *, md5: bool) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None
        self._sha256 = hashlib.sha256()

    def update(self, data: bytes) -> None:
        if self._md5 is not None:
            self._md5.update(data)
        self._sha256.update(data)

    def piece(self, fd: int, size: int) -> Piece:
        md5 = "" if self._md5 is None else self._md5.hexdigest()
        return Piece(fd, size, md5, self._sha256.hexdigest())


@dataclass(slots=True)
class Store:
    """Makes pieces; `directory` is where files go. Owns the descriptors until they are handed on."""

    directory: str | None = None
    md5: bool = True
    held: list[int] = field(default_factory=list)

    def piece_of(self, fd: int, size: int, data: bytes | None = None) -> Piece:
        """Return the piece that a descriptor holds already, and keeps; `data` if that was read."""
        digests = _Digests(md5=self.md5)
        if data is not None:
            digests.update(data)
            piece = digests.piece(fd, size)
            piece.data = data
            return piece
        at, step = 0, _READ if size <= _READ else _STEP
        data = b""
        while at < size:
            data = os.pread(fd, min(step, size - at), at)
            if not data:
                break
            digests.update(data)
            at += len(data)
        piece = digests.piece(fd, at)
        piece.data = data if len(data) == size else None
        return piece

    def keep(self, chunks: Iterable[bytes], stream: Stream | None) -> tuple[Piece, Exception | None]:
        """Write all `chunks`, counted by `stream`; an exception of either ends it and is returned beside.

        Raises OSError if there is no room.
        """
        digests = _Digests(md5=self.md5)
        memory = bytearray()
        size, fd = 0, -1
        failure: Exception | None = None
        source = iter(chunks)
        while True:
            try:
                chunk = next(source, None)
                if chunk is not None and stream is not None:
                    stream.output(len(chunk), chunk.read if isinstance(chunk, Chunk) else None)
            except Exception as error:  # noqa: BLE001  (parsers of hostile content raise anything)
                failure, chunk = error, None
            if chunk is None:
                break
            digests.update(chunk)
            size += len(chunk)
            memory += chunk
            if size > IN_MEMORY:
                fd = self._file() if fd < 0 else fd
                _write(fd, memory)
                memory.clear()
        if fd < 0:
            fd = os.memfd_create("icapd-item", os.MFD_CLOEXEC)
            self.held.append(fd)
        _write(fd, memory)
        return digests.piece(fd, size), failure

    def drop(self, piece: Piece) -> None:
        """Let go of a piece that nobody wants."""
        if piece.fd in self.held:
            self.held.remove(piece.fd)
            os.close(piece.fd)

    def close(self) -> None:
        """Close every descriptor that is held."""
        for fd in self.held:
            os.close(fd)
        self.held.clear()

    def _file(self) -> int:
        fd, name = tempfile.mkstemp(prefix="icapd-item-", dir=self.directory)
        Path(name).unlink()
        self.held.append(fd)
        return fd


def _write(fd: int, data: bytearray) -> None:
    with memoryview(data) as view:
        at = 0
        while at < len(view):
            at += os.write(fd, view[at:])
