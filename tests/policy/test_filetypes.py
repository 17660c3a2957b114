"""Types of files by how they begin."""

from __future__ import annotations

import re
import struct
import zipfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy import filetypes
from icapd.policy.filetypes import TYPES, media_of, sniff


@pytest.mark.parametrize(
    ("head", "types"),
    [
        (b"MZ\x90\0", ("exe",)),
        (b"\x7fELF\x02", ("elf",)),
        (b"\xca\xfe\xba\xbe\0\0\0\x34", ("class",)),
        (b"\xca\xfe\xba\xbe\0\0\0\x02", ("macho",)),
        (b"PK\x03\x04\x14\0", ("zip",)),
        (b"%PDF-1.7", ("pdf",)),
        (b"junk\n%PDF-1.7", ("pdf",)),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ("ole",)),
        (b"\x1f\x8b\x08", ("gzip",)),
        (b"Rar!\x1a\x07\x01\0", ("rar",)),
        (b"7z\xbc\xaf\x27\x1c", ("7z",)),
        (b"\x89PNG\r\n\x1a\n", ("png",)),
        (b"GIF89a", ("gif",)),
        (b"RIFF\0\0\0\0WEBPVP8 ", ("webp",)),
        (b"\0\0\0\x18ftypmp42", ("mp4",)),
        (b"\0\0\0\x18ftypavif", ("avif",)),
        (b" \n<!DOCTYPE html>", ("html",)),
        (b"\xef\xbb\xbf<HTML>", ("html",)),
        (b"<?xml version='1.0'?><svg xmlns='x'>", ("xml", "svg")),
        (b"#!/bin/sh\n", ("script",)),
        (b"\0" * 257 + b"ustar", ("tar",)),
        (b"MZ\0\0" + b"\0" * 56 + b"\x40\0\0\0PE\0\0", ("exe",)),
        (b"MZ is the German postcode area of Mainz, and this is a text file.\n", ()),
        (b"Rar! said the crow.\n", ()),
        (b"BM is the car we drive, and this is text.\n", ()),
        (b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0", ("lnk",)),
        ("<html><script>1</script>".encode("utf-16"), ("html",)),
        ("<html><script>1</script>".encode("utf-16-le"), ("html",)),
        (" \n<!DOCTYPE html>".encode("utf-16-be"), ("html",)),
        ("\ufeff<svg onload='x'>".encode("utf-16-be"), ("svg",)),
        (b"\xff\xfeh\0i\0", ()),
        (b"<?xml version='1.0'?><!DOCTYPE html><html>", ("html", "xml")),
        (b"<?xml version='1.0'?><!-- a --><svg>", ("xml", "svg")),
        (b"<html><HTA:APPLICATION id=x>", ("hta", "html")),
        (b"@echo off\r\n", ("bat",)),
        (b"REM sleep is deep\n", ()),
        (b"#@~^AAAAAA==x", ("vbe",)),
        (b"<job id='a'><script>", ("wsf",)),
        (b"[InternetShortcut]\nURL=x", ("url",)),
        (b"#!AMR\n", ("amr",)),
        (b"!<arch>\ndebian-binary", ("deb", "ar")),
        (b"PK\x03\x04" + b"\0" * 26 + b"META-INF/MANIFEST.MF", ("zip", "jar")),
        (b"\x5d\0\0\x80\0" + b"\xff" * 8, ("lzma",)),
        (b"\0" * 32769 + b"CD001", ("iso",)),
        (b"\0" * (32769 + 2048) + b"CD001", ("iso",)),
        (b"", ()),
        (b"hello", ()),
        (b"<htmlx>", ()),
    ],
)
def test_a_beginning_tells_the_type(head: bytes, types: tuple[str, ...]) -> None:
    assert sniff(head) == types


def test_office_files_are_zips_and_more() -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("[Content_Types].xml", "<x/>")
        file.writestr("word/document.xml", "<x/>")
    assert sniff(out.getvalue()) == ("zip", "docx")


def test_the_name_of_a_type_is_its_first_media_type() -> None:
    assert TYPES["exe"].called == "application/x-msdownload"
    assert TYPES["elf"].called == "application/x-executable"
    assert TYPES["lnk"].called == "application/x-ms-shortcut"
    assert TYPES["html"].called == "text/html"


def test_every_type_has_media_types_in_lower_case() -> None:
    for name, one in TYPES.items():
        assert one.media
        assert media_of(name) == {media.lower() for media in one.media}
    assert "application/x-msdownload" in media_of("exe")
    assert media_of("unheard") == frozenset()


def test_hostile_beginnings_take_little_time() -> None:
    for head in (
        b"PK\x03\x04" * 50_000,
        b"<?xml" * 50_000,
        b" " * 100_000,
        b"%PDF" * 50_000,
        b"<!--" * 50_000,
        b"<" * 50_000,
    ):
        sniff(head)


def test_two_bytes_are_no_archive() -> None:
    rest = bytes(range(7, 256))
    for start in (b"\x1f\x9d\x35", b"\x1f\xa0\x01", b"\xc7\x71", b"\x71\xc7"):
        assert not {"compress", "cpio"} & set(sniff(start + rest))
    assert sniff(b"\x1f\x9d\x90" + rest) == ("compress",)


def test_old_cpio_in_both_orders() -> None:
    for order in ("<", ">"):
        head = struct.pack(f"{order}13H", 0o070707, 1, 2, 0o100644, 0, 0, 1, 0, 0, 0, 6, 0, 5)
        assert sniff(head + b"a.txt\0hello\0") == ("cpio",)


@given(st.binary(max_size=64), st.sampled_from(sorted(TYPES)))
def test_no_type_is_ruled_out_by_its_first_byte(rest: bytes, name: str) -> None:
    one = TYPES[name].starts
    source = (
        b""
        if one is None
        else re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes.fromhex(m[1].decode()), one.pattern)
    )
    for head in (rest, source[:8] + rest, source.replace(b"\\", b"")[:12] + rest):
        wanted = {
            each.name
            for each in TYPES.values()
            if each.starts is not None and each.starts.match(head) is not None
        }
        assert wanted <= set(sniff(head))


def test_most_types_show_in_their_first_byte() -> None:
    assert max(map(len, filetypes._BY_FIRST)) < len(TYPES) / 2
