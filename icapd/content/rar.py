"""RAR's headers, for what libarchive does not tell: which members, or which names, are encrypted.

Sources: rarlab's "RAR 5.0 archive format" (general block, extra area), and its technote for RAR 4.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from icapd.content.part import Flaw
from icapd.verdicts import Kind

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

    from icapd.content.budget import Budget

    Buffer = mmap.mmap | bytes

FIVE = b"Rar!\x1a\x07\x01\x00"
FOUR = b"Rar!\x1a\x07\x00"
_MAX_HEADER = 2 << 20  # bytes; RAR 5's own bound
_ENCRYPTED = Flaw(Kind.ENCRYPTED, "encrypted rar")


def is_archive(head: bytes) -> bool:
    """Tell whether content that begins with a signature goes on with a header whose check sum is right."""
    if head.startswith(FIVE):
        size, at = _number(head, 12)
        body = head[12 : at + size]
        return size > 0 and len(body) == at + size - 12 and _sum(body) == int.from_bytes(head[8:12], "little")
    body = head[9:20]
    said = int.from_bytes(head[7:9], "little")
    return head.startswith(FOUR) and body[:1] == b"\x73" and _sum(body) & 0xFFFF == said


def flaws(data: Buffer, budget: Budget) -> Iterator[Flaw]:
    """Yield what is encrypted, once. Raises LimitReached."""
    start = bytes(data[:8])
    blocks = _five(data) if start == FIVE else _four(data) if start.startswith(FOUR) else iter(())
    for is_encrypted in blocks:
        budget.clock()
        if is_encrypted:
            yield _ENCRYPTED
            return


def _sum(data: bytes) -> int:
    return zlib.crc32(data)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and the offset after it; (0, …) where it does not end."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at : at + 1]
        at += 1
        if not byte:
            return 0, at
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:  # noqa: PLR2004
            return value, at
    return 0, at


def _five(data: Buffer) -> Iterator[bool]:
    """Yield for each block whether it, or all after it, is encrypted."""
    at = len(FIVE)
    while at + 7 < len(data):
        size, start = _number(bytes(data[at + 4 : at + 14]), 0)
        start += at + 4
        if not 0 < size <= _MAX_HEADER:
            return
        head = bytes(data[start : start + size])
        kind, place = _number(head, 0)
        flags, place = _number(head, place)
        extra = packed = 0
        if flags & 1:
            extra, place = _number(head, place)
        if flags & 2:
            packed, place = _number(head, place)
        yield kind == 4 or (kind in {2, 3} and _has_record(head[max(0, size - extra) :]))  # noqa: PLR2004
        at = start + size + packed


def _has_record(extra: bytes) -> bool:
    """Tell whether an extra area holds a record of encryption (type 1)."""
    at = 0
    while at < len(extra):
        size, start = _number(extra, at)
        kind, _ = _number(extra, start)
        if kind == 1:
            return True
        if not size:
            return False
        at = start + size
    return False


def _four(data: Buffer) -> Iterator[bool]:
    at = len(FOUR)
    while at + 7 <= len(data):
        kind, flags, size = struct.unpack_from("<BHH", data, at + 2)
        head = bytes(data[at : at + min(size, 64)])
        packed = int.from_bytes(head[7:11], "little") if flags & 0x8000 or kind in {0x74, 0x7A} else 0
        if kind in {0x74, 0x7A} and flags & 0x100:
            packed += int.from_bytes(head[32:36], "little") << 32
        yield bool((kind == 0x73 and flags & 0x80) or (kind == 0x74 and flags & 4))  # noqa: PLR2004
        if size < 7:  # noqa: PLR2004
            return
        at += size + packed
