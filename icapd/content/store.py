"""Where what was unpacked lies: a descriptor for each piece, in memory if small, else an unlinked file."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import re
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


class _View(mmap.mmap):
    """A mapped file whose searches stay inside.

    Those of CPython 3.11's mmap read past the end, which kills the process where a page ends.
    """

    def find(self, sub: ReadableBuffer, start: int = 0, end: int = sys.maxsize) -> int:
        """Return the first place of `sub`, -1 if there is none."""
        match = re.compile(re.escape(bytes(sub))).search(self, start, end)
        return -1 if match is None else match.start()

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
    """Some content: `size` bytes from offset 0 of `fd`; digests in lower-case hex."""

    fd: int
    size: int
    md5: str
    sha256: str

    @contextlib.contextmanager
    def mapped(self) -> Iterator[mmap.mmap | bytes]:
        """Give the content as a buffer, for as long as the context lasts."""
        if self.size == 0:
            yield b""
            return
        with _View(self.fd, self.size, prot=mmap.PROT_READ) as data:
            yield data


def piece_of(fd: int, size: int) -> Piece:
    """Return the piece that a descriptor holds already."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    at = 0
    while at < size:
        data = os.pread(fd, min(_STEP, size - at), at)
        if not data:
            break
        md5.update(data)
        sha256.update(data)
        at += len(data)
    return Piece(fd, at, md5.hexdigest(), sha256.hexdigest())


@dataclass(slots=True)
class Store:
    """Makes pieces; `directory` is where files go. Owns the descriptors until they are handed on."""

    directory: str | None = None
    held: list[int] = field(default_factory=list)

    def keep(self, chunks: Iterable[bytes], stream: Stream | None) -> tuple[Piece, Exception | None]:
        """Write all `chunks`, counted by `stream`; an exception of either ends it and is returned beside.

        Raises OSError if there is no room.
        """
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
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
            md5.update(chunk)
            sha256.update(chunk)
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
        return Piece(fd, size, md5.hexdigest(), sha256.hexdigest()), failure

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
