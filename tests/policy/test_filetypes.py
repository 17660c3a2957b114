"""Types of files by how they begin."""

from __future__ import annotations

import zipfile
from io import BytesIO

import pytest

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


def test_every_type_has_media_types_in_lower_case() -> None:
    for name, one in TYPES.items():
        assert one.media
        assert media_of(name) == {media.lower() for media in one.media}
    assert "application/x-msdownload" in media_of("exe")
    assert media_of("unheard") == frozenset()


def test_hostile_beginnings_take_little_time() -> None:
    for head in (b"PK\x03\x04" * 50_000, b"<?xml" * 50_000, b" " * 100_000, b"%PDF" * 50_000):
        sniff(head)
