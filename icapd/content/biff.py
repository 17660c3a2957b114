"""Excel's binary records: macro sheets and encryption. Source: [MS-XLS] 2.4.21, 2.4.28, 2.4.117."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from icapd.verdicts import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.content.budget import Budget

_BOF = (0x0009, 0x0209, 0x0409, 0x0809)
_EOF = 0x000A
_BOUNDSHEET = 0x0085
_FILEPASS = 0x002F
_SUPBOOK = 0x01AE
_MACRO_SHEET = 0x0040
_MODULE = 6
_CLOCK_EVERY = 4096  # records between two looks at the clock
_HEADER = struct.Struct("<HH")


def look_records(data: bytes, budget: Budget) -> Iterator[tuple[Kind, str]]:
    """Yield what records tell of a workbook stream, or of a workbook older than OLE; may repeat itself."""
    at = 0
    count = 0
    while at + _HEADER.size <= len(data):
        record, size = _HEADER.unpack_from(data, at)
        body = data[at + 4 : at + 4 + min(size, 64)]
        at += 4 + size
        count += 1
        if count % _CLOCK_EVERY == 0:
            budget.clock()
        if record in _BOF and body[2:4] == b"\x40\0":
            yield Kind.MACRO, "XLM"
        elif record == _FILEPASS:
            yield Kind.ENCRYPTED, "XLS"
            return  # what follows is not to be read
        elif record == _BOUNDSHEET and len(body) > 5 and body[5] in {1, _MODULE}:  # noqa: PLR2004
            yield Kind.MACRO, "XLM" if body[5] == 1 else "VBA"
        elif record == _SUPBOOK and _is_dde(body):
            yield Kind.ACTIVE_CONTENT, "DDE"
        elif not record and not size:
            return


def is_old_workbook(data: bytes) -> bool:
    """Tell whether data is a workbook or sheet of Excel 2 to 4, which has no OLE file around it."""
    if len(data) < 8:  # noqa: PLR2004
        return False
    record, size = _HEADER.unpack_from(data, 0)
    kind = int.from_bytes(data[6:8], "little")
    return record in _BOF and 4 <= size <= 16 and kind in {0x05, 0x06, 0x10, 0x20, _MACRO_SHEET, 0x0100}  # noqa: PLR2004


def _is_dde(body: bytes) -> bool:
    r"""Tell whether a SupBook is a DDE link: no sheets, and \x03 between program and topic, not in a path."""
    return body[:2] == b"\0\0" and len(body) > 6 and body[5] > 4 and b"\x03" in body[5:]  # noqa: PLR2004
