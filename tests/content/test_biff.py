"""Records of Excel's old files."""

from __future__ import annotations

import struct

import pytest

from icapd.content.biff import is_old_workbook, look_records
from icapd.content.budget import Bounds, Budget
from icapd.verdicts import Kind


def record(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, len(body)) + body


def sheet(kind: int) -> bytes:
    return record(0x85, struct.pack("<IBB", 0, 0, kind) + b"\x01\0A")


BOOK = record(0x809, struct.pack("<HHQ", 0x600, 5, 0)[:16])
END = record(0xA, b"")


def asked(data: bytes) -> list[tuple[Kind, str]]:
    return list(look_records(data, Budget(Bounds(), len(data))))


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (BOOK + sheet(0) + END, []),
        (BOOK + sheet(1) + END, [(Kind.MACRO, "XLM")]),
        (BOOK + sheet(6) + END, [(Kind.MACRO, "VBA")]),
        (BOOK + record(0x2F, bytes(54)) + b"x" * 99, [(Kind.ENCRYPTED, "XLS")]),
        (BOOK + record(0x1AE, b"\0\0\x08\0\0cmd\x03/c x"), [(Kind.ACTIVE_CONTENT, "DDE")]),
        (BOOK + record(0x1AE, b"\0\0\x08\0\0\x01abc\x03/c"), []),
        (BOOK + record(0x1AE, b"\x01\0\x01\x04"), []),
        (record(0x409, b"\0\0\x40\0\0\0"), [(Kind.MACRO, "XLM")]),
        (bytes(100), []),
        (BOOK[:3], []),
    ],
)
def test_records_tell(records: bytes, found: list[tuple[Kind, str]]) -> None:
    assert asked(records) == found


def test_workbooks_older_than_ole_are_known() -> None:
    assert is_old_workbook(record(0x409, b"\0\0\x40\0\0\0"))
    assert not is_old_workbook(b"\x09\x08text and more text")
    assert not is_old_workbook(b"")
