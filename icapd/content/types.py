"""Types of content beyond its first bytes, and what may hide behind them."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from icapd.content import rar
from icapd.content.literal import Literal
from icapd.policy.filetypes import FAR, sniff

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

    Buffer = mmap.mmap | bytes

_BLOCK = 512  # bytes of a tar header
_SUM = slice(148, 156)
_HIDDEN = (  # signatures long enough to be no accident; zip has a way of its own
    ("rar", b"Rar!\x1a\x07"),
    ("7z", b"7z\xbc\xaf\x27\x1c\x00"),
    ("cab", b"MSCF\0\0\0\0"),
)
_SIGNS = tuple((name, Literal(signature)) for name, signature in _HIDDEN)
_MAX_HIDDEN = 4  # of each kind in one item
_MAX_SIGNS = 1000  # signatures that are looked at: programs that know archives hold some without one
_HEAD = 4096  # bytes after a signature that tell whether it is one
_NUMBER = re.compile(rb"[ 0]*[0-7]+[\0 ]")


def types_of(data: Buffer) -> tuple[str, ...]:
    """Return the names of the types that content shows, of icapd.policy.filetypes."""
    head = bytes(data[:FAR])
    found = sniff(head)
    if "tar" not in found and _is_old_tar(head[:_BLOCK]):
        found = (*found, "tar")
    return found


def _is_old_tar(head: bytes) -> bool:
    """Tell whether this is a tar header without a signature: by its check sum, as every reader does."""
    if len(head) < _BLOCK or not head[0] or _NUMBER.match(head[_SUM]) is None:
        return False
    said = int(head[_SUM].strip(b"\0 ").split(b"\0")[0].split(b" ")[0] or b"0", 8)
    return said == sum(head) - sum(head[_SUM]) + 8 * 0x20


def hidden(data: Buffer) -> Iterator[tuple[str, int]]:
    """Yield the type and offset of archives that begin inside: self-extractors, polyglots."""
    for name, sign in _SIGNS:
        at = sign.find(data, 1)
        found = 0
        for _ in range(_MAX_SIGNS):
            if found >= _MAX_HIDDEN:
                break
            if at < 0:
                break
            if _begins(name, bytes(data[at : at + _HEAD]), len(data) - at):
                yield name, at
                found += 1
            at = sign.find(data, at + 1)


def _begins(name: str, head: bytes, left: int) -> bool:
    """Tell whether an archive begins here, by the sums and sizes that every reader goes by."""
    if name == "rar":
        return rar.is_archive(head)
    if name == "7z":
        return zlib.crc32(head[12:32]) == int.from_bytes(head[8:12], "little")
    return head[24:26] == b"\x03\x01" and 36 < int.from_bytes(head[8:12], "little") <= left  # noqa: PLR2004
