"""Bytes in memory as they were read: kept in their pieces, copied only where the pieces are small.

Growing one buffer costs more than all else that is done with a large body: the kernel gives each new
page empty, and what was there moves.
"""

from __future__ import annotations

import contextlib
import ctypes
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    Buffer = bytes | bytearray | memoryview

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt
_KEPT, _APART = 16 << 20, 1 << 20  # bytes of freed memory that stay ours; larger blocks never do
_SMALL = 4096  # bytes of a piece that costs less copied than kept: what it lies in is kept with it
_JOINED = 1 << 16  # bytes of small pieces that become one


def keep_freed_memory() -> None:
    """Have the C library keep some of what is freed: what is read next then needs no new pages."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT)
        libc.mallopt(_M_MMAP_THRESHOLD, _APART)


def payload_of(wire: bytes, spans: Sequence[tuple[int, int]]) -> tuple[list[Buffer], int]:
    """Return the payload at `spans` of chunked coding, and its size: views of `wire`, or joined if little."""
    size = sum([end - start for start, end in spans])
    if size >= _SMALL * len(spans) and size * 8 >= len(wire) * 7:
        view = memoryview(wire)
        return [view[start:end] for start, end in spans], size
    return [b"".join([wire[start:end] for start, end in spans])], size


class Pieces:
    """A growing run of bytes; `size` counts them. What is added must not change."""

    __slots__ = ("_ends", "_parts", "size")

    def __init__(self) -> None:
        self._parts: list[Buffer] = []
        self._ends: list[int] = []  # where each part ends, as far as anybody has read
        self.size = 0

    def add(self, piece: Buffer) -> None:
        """Add to the end."""
        if not piece:
            return
        self.size += len(piece)
        parts = self._parts
        if len(piece) >= _SMALL:
            parts.append(piece)
            return
        last = parts[-1] if parts else None
        if isinstance(last, bytearray) and len(last) < _JOINED:
            last += piece
            del self._ends[len(parts) - 1 :]
        else:
            parts.append(bytearray(piece))

    def extend(self, pieces: Sequence[Buffer], size: int) -> None:
        """Add several, `size` bytes in all, none of which is to be copied."""
        self._parts += pieces
        self.size += size

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        found = []
        ends = self._ends
        for part in self._parts[len(ends) :]:
            ends.append((ends[-1] if ends else 0) + len(part))
        at = bisect_right(ends, offset)
        while size > 0 and at < len(self._parts):
            part = self._parts[at]
            begin = offset - (ends[at] - len(part))
            piece = bytes(memoryview(part)[begin : begin + size])
            found.append(piece)
            offset += len(piece)
            size -= len(piece)
            at += 1
        return found[0] if len(found) == 1 else b"".join(found)

    def parts(self) -> Sequence[Buffer]:
        """Return all of it, in order."""
        return self._parts
