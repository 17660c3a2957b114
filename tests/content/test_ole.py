"""OLE files: macros, encryption, types, what is embedded, broken ones."""

from __future__ import annotations

import struct
import sys
import zlib

import pytest

from icapd.content.budget import Bounds, Budget
from icapd.content.ole import look_ole
from icapd.verdicts import Kind
from tests.content.samples import MAGIC, cfb, package

FIB = b"\xec\xa5\xc1\0" + bytes(6)
FILE = b"MZ" + bytes(range(200))
MSI = bytes.fromhex("84100c0000000000c000000000000046")


def asked(data: bytes) -> tuple[set[tuple[Kind, str]], list[bytes], tuple[str, ...]]:
    looked = look_ole(data, Budget(Bounds(), len(data)))
    return (
        {(one.kind, one.threat) for one in looked.findings},
        [part for _, part in looked.parts],
        looked.types,
    )


@pytest.mark.parametrize(
    ("streams", "finding"),
    [
        ({"WordDocument": FIB + bytes(99), "Macros/VBA/dir": b"x"}, (Kind.MACRO, "VBA")),
        ({"VBA/_VBA_PROJECT": b"\xcc\x61"}, (Kind.MACRO, "VBA")),
        ({"Workbook": struct.pack("<HHIBB", 0x85, 6, 0, 0, 1)}, (Kind.MACRO, "XLM")),
        ({"Workbook": struct.pack("<HH", 0x2F, 0)}, (Kind.ENCRYPTED, "XLS")),
        ({"WordDocument": FIB + b"\0\1" + bytes(99)}, (Kind.ENCRYPTED, "DOC")),
        ({"Current User": bytes(12) + b"\xdf\xc4\xd1\xf3"}, (Kind.ENCRYPTED, "PPT")),
        ({"EncryptedPackage": bytes(5000), "EncryptionInfo": b"x"}, (Kind.ENCRYPTED, "OOXML")),
        ({"WordDocument": FIB + bytes(99) + b"\x13 DDEAUTO cmd\x14"}, (Kind.ACTIVE_CONTENT, "DDE")),
    ],
)
def test_what_is_inside_is_told(streams: dict[str, bytes], finding: tuple[Kind, str]) -> None:
    assert asked(cfb(streams))[0] == {finding}


@pytest.mark.parametrize(
    ("streams", "types"),
    [
        ({"WordDocument": FIB + bytes(5000)}, ("doc",)),
        ({"Workbook": struct.pack("<HHIBB", 0x85, 6, 0, 0, 0)}, ("xls",)),
        ({"PowerPoint Document": bytes(50)}, ("ppt",)),
        ({"__properties_version1.0": bytes(50)}, ("msg",)),
    ],
)
def test_documents_without_anything_are_clean_and_typed(
    streams: dict[str, bytes], types: tuple[str, ...]
) -> None:
    assert asked(cfb(streams)) == (set(), [], types)


def test_what_is_embedded_is_a_part() -> None:
    inner = package(b"a.exe", FILE)
    native = struct.pack("<I", len(inner)) + inner
    assert asked(cfb({"ObjectPool/_1/\x01Ole10Native": native}))[1] == [FILE]
    assert asked(cfb({"ObjectPool/_1/Package": b"PK\x03\x04" + bytes(5000)}))[1] == [
        b"PK\x03\x04" + bytes(5000)
    ]
    stored = struct.pack("<HHII", 0x10, 0x1011, 4 + len(zlib.compress(MAGIC)), 8) + zlib.compress(MAGIC)
    assert asked(cfb({"PowerPoint Document": stored}))[1] == [MAGIC]
    _, parts, types = asked(cfb({"odd": b"MSCF" + bytes(99)}, clsid=MSI))
    assert (parts, types) == ([b"MSCF" + bytes(99)], ("msi",))


def test_an_attachment_of_a_message_has_its_name() -> None:
    folder = "__attach_version1.0_#00000000/__substg1.0_"
    data = cfb({f"{folder}37010102": b"text", f"{folder}3707001F": "a.txt".encode("utf-16-le")})
    assert list(look_ole(data, Budget(Bounds(), 1)).parts) == [("a.txt", b"text")]


def test_broken_and_unread_files_are_told_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cfb({"Macros/VBA/_VBA_PROJECT": b"x", "WordDocument": FIB})
    plain = cfb({"WordDocument": FIB})
    assert asked(MAGIC)[0] == {(Kind.UNSCANNABLE, "OLE: broken")}
    assert asked(MAGIC + bytes(600) + whole[512:])[0] == {(Kind.MACRO, "VBA")}
    monkeypatch.setitem(sys.modules, "olefile", None)
    assert asked(whole)[0] == {(Kind.MACRO, "VBA")}
    assert asked(plain) == (set(), [], ("doc",))
    packed = asked(cfb({"a/\x01Ole10Native": b"x"}))[0]
    assert packed == {(Kind.UNSCANNABLE, "OLE: reading it needs icapd[office]")}
