"""Two rare methods of zip: deflate64 with the library inflate64, PPMd with libarchive (the extra `archive`).

Sources: PKWARE APPNOTE 6.3.10 §4.4.5, §5.10; Microsoft's archives over 2 GB and WinZip use the first.
"""

from __future__ import annotations

import struct
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from icapd.content.codings import STEP, Broken

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFLATE64, PPMD = 9, 98
_LIBRARIES = {DEFLATE64: "inflate64", PPMD: "libarchive"}
_TAKEN = 64  # bytes at a time: 18 bits may give 64 KiB
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")


def can_undo(method: int) -> bool:
    """Tell whether a method is one of these, and its library is installed."""
    return method in _LIBRARIES and find_spec(_LIBRARIES[method]) is not None


def undo(method: int, packed: bytes, size: int, crc: int) -> Iterator[bytes]:
    """Yield the content of a member, which says that it has `size` bytes and the sum `crc`. Raises Broken."""
    return _inflate(packed) if method == DEFLATE64 else _by_libarchive(packed, size, crc)


def _inflate(packed: bytes) -> Iterator[bytes]:
    import inflate64  # noqa: PLC0415  (children only, and only when it comes up)

    inflater: Any = inflate64.Inflater()
    kept = bytearray()
    for at in range(0, len(packed), _TAKEN):
        try:
            kept += inflater.inflate(packed[at : at + _TAKEN])
        except Exception as error:  # noqa: BLE001  (the library's own)
            yield bytes(kept)
            raise Broken(f"broken data ({str(error)[:80]})") from None
        if len(kept) >= STEP:
            yield bytes(kept)
            kept.clear()
        if inflater.eof:
            break
    yield bytes(kept)
    if not inflater.eof:
        raise Broken("ends early")


def _by_libarchive(packed: bytes, size: int, crc: int) -> Iterator[bytes]:
    import libarchive  # noqa: PLC0415  (as above)

    fields = (PPMD, 0, 33, crc, len(packed), size, 1)
    local = _LOCAL.pack(b"PK\3\4", 63, 0, *fields, 0) + b"a"
    listed = _CENTRAL.pack(b"PK\1\2", 63, 63, 0, *fields, 0, 0, 0, 0, 0, 0) + b"a"
    end = _END.pack(b"PK\5\6", 0, 0, 1, 1, len(listed), len(local) + len(packed), 0)
    try:
        with libarchive.memory_reader(local + packed + listed + end, format_name="zip") as archive:
            for entry in archive:
                yield from entry.get_blocks(STEP)
    except (libarchive.ArchiveError, OSError) as error:
        raise Broken(str(getattr(error, "msg", None) or error)[:80]) from None
