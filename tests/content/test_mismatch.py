"""Lies about a content's type, and what is none."""

from __future__ import annotations

import pytest

from icapd.content.mismatch import mismatch
from icapd.policy.filetypes import TYPES

OCTETS = "application/octet-stream"
EXE = "type:application/x-msdownload"


@pytest.mark.parametrize(
    ("types", "declared", "names", "says"),
    [
        (("elf",), ["image/png"], [], "type:application/x-executable"),
        (("elf",), [OCTETS], ["a.png"], "type:application/x-executable"),
        (("macho",), ["text/plain"], [], "type:application/x-mach-binary"),
        (("exe",), ["text/plain", "application/x-msdownload"], [], EXE),
        (("exe",), ["Text/HTML; charset=utf-8"], [], EXE),
        (("exe",), ["application/pdf"], ["a.exe"], EXE),
        (("exe",), ["application/zip"], [], EXE),
        (("exe",), ["application/vnd.openxmlformats-officedocument.wordprocessingml.document"], [], EXE),
        (("exe",), [OCTETS], ["cd_exe", "a.txt", "a.exe"], EXE),
        (("exe",), [OCTETS], ["invoice.pdf      .exe"], EXE),
        (("exe",), [OCTETS], ["invoice\u202efdp.exe"], EXE),
        (("exe",), [], ["holiday.JPG"], EXE),
        (("lnk",), ["image/png"], [], "type:application/x-ms-shortcut"),
        (("lnk",), ["text/plain"], [], "type:application/x-ms-shortcut"),
        (("chm",), ["text/html"], [], "type:application/vnd.ms-htmlhelp"),
        (("dex",), ["image/gif"], [], "type:application/x-dex"),
        (("html",), ["image/png"], [], "type:text/html"),
        (("html",), ["application/pdf"], [], "type:text/html"),
        (("html",), [], ["a.png"], "type:text/html"),
        (("hta", "html"), ["image/jpeg"], [], "type:text/html"),
        (("script",), ["image/jpeg"], [], "type:application/x-sh"),
        (("zip",), ["application/pdf"], [], "type:application/zip"),
        (("zip", "jar"), ["image/gif"], [], "type:application/java-archive"),
        (("rar",), ["image/png"], [], "type:application/vnd.rar"),
        (("ole",), ["image/png"], [], "type:application/x-ole-storage"),
        (("pdf",), ["image/png"], [], "type:application/pdf"),
        ((), ["text/plain", "application/x-msdownload"], [], EXE),
    ],
)
def test_what_is_passed_off_as_harmless_is_named_for_what_it_is(
    types: tuple[str, ...], declared: list[str], names: list[str], says: str
) -> None:
    assert mismatch(types, declared, names) == says


@pytest.mark.parametrize(
    ("types", "declared", "names"),
    [
        ((), [], []),
        ((), ["image/png"], ["a.exe"]),
        ((), [';;/ "'], []),
        (("exe",), [OCTETS], ["setup.exe"]),
        (("exe",), [OCTETS], ["index.html", "setup-1.2.exe"]),
        (("exe",), [], []),
        (("exe",), ["application/x-dosexec"], ["setup"]),
        (("exe",), ["application/x-unheard"], ["setup.exe"]),
        (("elf",), ["application/x-sharedlib"], ["libc.so.6"]),
        (("html",), ["text/plain"], ["a.html"]),
        (("html",), ["application/javascript"], ["a.js"]),
        (("html",), [OCTETS], ["a.bin"]),
        (("html",), ["text/html", "text/plain"], []),
        (("html", "svg"), ["image/svg+xml"], ["a.svg"]),
        (("xml", "svg"), ["image/svg+xml"], ["a.svg"]),
        (("html", "xml"), ["application/xhtml+xml"], []),
        (("hta", "html"), ["text/plain"], ["a.txt"]),
        (("script",), ["text/plain"], ["install.txt"]),
        (("zip", "docx"), ["application/zip"], ["a.docx"]),
        (("zip", "docx"), ["application/msword"], ["a.doc"]),
        (("zip", "apk"), ["application/zip"], ["a.zip"]),
        (("zip", "jar"), ["application/java-archive"], ["a.jar"]),
        (("ole",), ["application/vnd.ms-excel"], ["a.xls"]),
        (("rtf",), ["application/msword"], ["a.doc"]),
        (("rar",), ["text/plain"], ["a.rar"]),
        (("gzip",), ["image/svg+xml"], ["a.svgz"]),
        (("jpeg",), ["image/png"], ["a.png"]),
        (("webp",), ["image/jpeg"], ["a.jpg"]),
        (("pdf",), ["text/plain"], ["a.pdf"]),
        (("png",), ["application/pdf"], []),
        ((), [OCTETS, "application/x-msdownload"], ["setup.exe"]),
    ],
)
def test_what_servers_often_get_wrong_is_no_lie(
    types: tuple[str, ...], declared: list[str], names: list[str]
) -> None:
    assert mismatch(types, declared, names) is None


@pytest.mark.parametrize("name", sorted(TYPES))
def test_no_type_lies_by_its_own_name_or_by_none(name: str) -> None:
    for media in TYPES[name].media:
        assert mismatch((name,), [media], []) is None
    assert mismatch((name,), [OCTETS], []) is None
    assert mismatch((name,), [], []) is None


@pytest.mark.parametrize(
    "media", ["image/png,", '"image/png"', "text\t/plain", "text/plain x", "model/obj", "text/plain;"]
)
def test_a_program_under_a_type_that_is_not_well_formed_is_a_lie(media: str) -> None:
    assert mismatch(("exe",), (media,), ()) == "type:application/x-msdownload"


def test_a_page_that_came_instead_of_a_picture_is_none() -> None:
    assert mismatch(("html",), ("image/png",), (), is_error=True) is None
    assert mismatch(("php",), ("image/png",), (), is_error=True) == "type:application/x-httpd-php"
    assert mismatch(("exe",), ("image/png",), (), is_error=True) == "type:application/x-msdownload"
