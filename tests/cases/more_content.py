#!/usr/bin/env python3
"""Make a second deck of message bodies, for run_content.py: the classes of the first, other ways of each.

    python tests/cases/more_content.py DIR     (from the repository's root)

Nothing of it is kept: bodies are put together here, by Python's libraries, by hand, and by 7z and bsdtar
where these are installed (cases that need them are left out otherwise). `reason` says why a case is of its class.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
import random
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.cases import more_archives as archives
from tests.cases import more_documents as documents
from tests.cases.more_archives import nested, raw_zip, tarred, zipped

EICAR = b"X5O!P%@AP[4" + rb"\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-" + b"TEST-FILE!$H+H*"
PAGE = b"<!DOCTYPE html><html><head><title>A page</title></head><body><p>Hello there.</p></body></html>\n"
PE = (
    b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff\0\0\xb8" + bytes(43) + b"\x40\0\0\0" + b"PE\0\0\x4c\1\1\0" + bytes(200)
)
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
EXE_TYPE = "type:application/x-msdownload"
OCTETS = "application/octet-stream"
ZIP = "application/zip"
FORM = "multipart/form-data; boundary=xx"


def zstd(data: bytes) -> bytes:
    from backports import zstd as library

    return library.compress(data)


def brotli(data: bytes) -> bytes:
    import brotli as library

    return bytes(library.compress(data, quality=5))


def raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflater.compress(data) + deflater.flush()


class Deck:
    """Cases under way."""

    def __init__(self) -> None:
        self.cases: list[dict[str, Any]] = []
        self.bodies: dict[str, bytes] = {}

    def add(
        self, cls: str, name: str, data: bytes | None, expect: str, reason: str, *,
        also: tuple[str, ...] = (), media: str | None = OCTETS, upload: bool = False, status: int = 200, **headers: str,
    ) -> None:  # fmt: skip
        """Take a case; `data` None: what would make it is not installed. An underscore in a field is a hyphen."""
        if data is None:
            return
        fields = {} if media is None else {"Content-Type": media}
        fields |= {key.replace("_", "-").replace("--", "#"): value for key, value in headers.items()}
        number = f"m{len(self.cases) + 1:03}"
        self.bodies[number] = data
        self.cases.append({
            "id": number, "cls": cls, "file": f"files/{number}", "size": len(data),
            "mode": "REQMOD" if upload else "RESPMOD", "method": "POST" if upload else "GET",
            "uri": "http://upload.test/put" if upload else f"http://files.test/{name}", "status": None if upload else status,
            "headers": fields, "expect": expect, "also_acceptable": list(also), "reason": reason,
        })  # fmt: skip


def plain(deck: Deck) -> None:
    add = deck.add
    add("plain", "a.txt", EICAR, "infected", "a harmless type is scanned", media="text/plain")
    add("plain", "a", EICAR, "infected", "no Content-Type at all", media=None)
    add("plain", "a.css", EICAR, "infected", "so is a style", media="text/css")
    add("plain", "a.png", EICAR, "infected", "so is a picture", media="image/png")
    add("plain", "a.mp4", EICAR, "infected", "and a film", media="video/mp4")
    add(
        "plain",
        "sse",
        EICAR,
        "infected",
        "a stream that ends was no stream",
        media="text/event-stream",
        also=("clean",),
    )
    add("plain", "a", EICAR, "infected", "a 500 has a body as well", status=500)
    add("plain", "a", EICAR, "infected", "a redirect has one too", status=302, Location="http://files.test/b")
    add("plain", "a", EICAR, "infected", "put", upload=True, media="image/png")
    add("plain", "a", EICAR + b" " * 60, "infected", "white space follows")
    add("plain", "a", EICAR + b"\x1a", "infected", "so may an end of file mark")
    add("plain", "a", EICAR + b"\r\n", "infected", "and a line end")
    add(
        "plain",
        "a",
        EICAR,
        "infected",
        "two Content-Type fields",
        media="text/plain",
        Content_Type__2="image/png",
    )


def codings(deck: Deck) -> None:
    def add(name: str, coding: str, data: bytes, expect: str, reason: str, **more: Any) -> None:
        deck.add("content-encoding", name, data, expect, reason, **{"Content_Encoding": coding, **more})

    z = gzip.compress(EICAR, mtime=0)
    add("a", "gzip", z, "infected", "gzip")
    add("a", "deflate", raw_deflate(EICAR), "infected", "raw deflate: every browser reads it")
    add("a", "gzip", gzip.compress(b"", mtime=0) + z, "infected", "second gzip member; the first is empty")
    add(
        "a",
        "gzip",
        gzip.compress(EICAR[:30], mtime=0) + gzip.compress(EICAR[30:], mtime=0),
        "infected",
        "split over two members",
    )
    header = z[:3] + bytes([2]) + z[4:10]
    add(
        "a",
        "gzip",
        header + struct.pack("<H", zlib.crc32(header) & 0xFFFF) + z[10:],
        "infected",
        "a header check sum",
    )
    extra = z[:3] + bytes([4]) + z[4:10] + struct.pack("<H", 4) + b"ABCD" + z[10:]
    add("a", "gzip", extra, "infected", "an extra field")
    every = z[:3] + bytes([31]) + z[4:10] + struct.pack("<H", 4) + b"ABCD" + b"n\0c\0" + b"\0\0" + z[10:]
    add(
        "a", "gzip", every, "infected", "all optional fields, a wrong header check sum", also=("unscannable",)
    )
    add("a", "zstd", zstd(EICAR[:30]) + zstd(EICAR[30:]), "infected", "two frames")
    add(
        "a",
        "zstd",
        b"\x50\x2a\x4d\x18" + struct.pack("<I", 5) + b"hello" + zstd(EICAR),
        "infected",
        "a skippable frame first",
    )
    four = zstd(brotli(zlib.compress(z)))
    add("a", "gzip, deflate, br, zstd", four, "infected", "four layers")
    add(
        "a",
        "gzip, deflate, br, zstd, gzip",
        gzip.compress(four, mtime=0),
        "limit",
        "five layers are one too many",
        also=("infected", "unscannable"),
    )
    add(
        "a",
        "gzip",
        EICAR,
        "infected",
        "says gzip, is none: a browser that shows it shows this",
        also=("unscannable", "corrupt"),
    )
    add("a", "gz", z, "infected", "misspelt: browsers take it as it stands", also=("unscannable",))
    add("a", "br", z, "infected", "the wrong coding", also=("unscannable", "corrupt"))
    add("a", "deflate", z, "infected", "deflate that is gzip", also=("unscannable", "corrupt"))
    add("a", "gzip", zlib.compress(EICAR), "infected", "gzip that is zlib", also=("unscannable", "corrupt"))
    add(
        "a",
        "dcz",
        b"\x5e\x2a\x4d\x18\x20\0\0\0" + bytes(32) + zstd(EICAR),
        "unscannable",
        "a dictionary that nobody has",
    )
    add(
        "a",
        "compress",
        b"\x1f\x9d\x90" + bytes(40),
        "unscannable",
        "compress (RFC 9110 8.4.1.1) is not decoded",
        also=("corrupt",),
    )
    add(
        "a",
        "aes128gcm",
        bytes(range(100)),
        "unscannable",
        "encrypted content (RFC 8188)",
        also=("encrypted",),
    )
    add("a", "gzip;q=1", z, "infected", "a parameter that may not be there", also=("unscannable",))
    add("a", '"gzip"', z, "infected", "quoted", also=("unscannable",))
    add("a", "gzip\t", z, "infected", "a tab behind")
    add("a", "gzip", z + z, "infected", "the same member twice")
    add("a", "gzip", z[:-8], "infected", "no trailer: what came is shown", also=("corrupt", "unscannable"))
    add(
        "a",
        "gzip",
        gzip.compress(zipped(("e.com", EICAR)), mtime=0),
        "infected",
        "a coded archive",
        media=ZIP,
    )
    add("a", "br", brotli(EICAR), "infected", "an upload", upload=True)
    for name, coding, packed in (
        ("gzip", "gzip", gzip.compress(PAGE, mtime=0)),
        ("br", "br", brotli(PAGE)),
        ("deflate", "deflate", raw_deflate(PAGE)),
        ("identity", "identity", PAGE),
    ):
        add("page.html", coding, packed, "clean", f"an ordinary page in {name}", media="text/html")
    add(
        "page.html",
        "gzip",
        b"",
        "clean",
        "an empty body in a coding: servers do that for 304-like answers",
        media="text/html",
    )
    add(
        "page.html",
        "utf-8",
        PAGE,
        "clean",
        "a charset where a coding belongs: many servers",
        media="text/html",
        also=("unscannable",),
    )
    add(
        "a.tar.gz",
        "gzip",
        gzip.compress(tarred(("a", b"text")), mtime=0),
        "clean",
        "a tar.gz whose gzip is told as a coding",
        media="application/gzip",
    )


def bombs(deck: Deck) -> None:
    add = deck.add
    zeros = bytes(64 << 20)
    small = gzip.compress(zeros, mtime=0)
    add("bomb", "a", small * 16, "limit", "1 GiB of gzip", Content_Encoding="gzip")
    add(
        "bomb",
        "a",
        zlib.compress(zeros),
        "limit",
        "64 MiB of zlib, 1000 times",
        Content_Encoding="deflate",
        also=("clean",),
    )
    add("bomb", "a", zstd(zeros) * 16, "limit", "1 GiB of zstd", Content_Encoding="zstd")
    add(
        "bomb",
        "a",
        gzip.compress(gzip.compress(small * 16, mtime=0), mtime=0),
        "limit",
        "gzip in gzip in gzip",
        Content_Encoding="gzip, gzip, gzip",
    )
    add(
        "bomb",
        "a.bz2",
        bz2.compress(zeros) * 16,
        "limit",
        "1 GiB of bzip2: 45 bytes a MB",
        media="application/x-bzip2",
    )
    add("bomb", "a.xz", lzma.compress(zeros) * 16, "limit", "1 GiB of xz", media="application/x-xz")
    add("bomb", "a.gz", small * 16, "limit", "a gzip file", media="application/gzip")
    data = zipped(*((f"{i}.bin", zeros) for i in range(4)))
    for level in range(4):
        data = zipped(*((f"l{level}{i}.zip", data) for i in range(16)))
    add("bomb", "42.zip", data, "limit", "zips in zips in zips, 17 TB in all", media=ZIP)
    one = raw_deflate(zeros)
    add(
        "bomb",
        "overlap.zip",
        overlapping(one, len(zeros), 200),
        "limit",
        "200 entries share one member",
        media=ZIP,
    )
    add(
        "bomb",
        "many.zip",
        zipped(*((f"{i}", b"") for i in range(20_001))),
        "clean",
        "20,001 empty members hold nothing",
        media=ZIP,
        also=("limit",),
    )
    add(
        "bomb",
        "many.zip",
        zipped(*((f"{i}", b"%d" % i) for i in range(12_000))),
        "limit",
        "12,000 members",
        media=ZIP,
    )
    add("bomb", "deep.zip", nested(EICAR, 40), "limit", "40 levels", media=ZIP, also=("infected",))
    add(
        "bomb",
        "deep.gz",
        deep_gzip(30),
        "limit",
        "30 times gzip",
        media="application/gzip",
        also=("infected",),
    )
    add(
        "bomb",
        "a.tar",
        tarred(*((f"{i}", b"") for i in range(3000))),
        "clean",
        "3,000 empty files",
        media="application/x-tar",
        also=("limit",),
    )
    laugh = b"".join(b'<!ENTITY l%d "%b">' % (i, b"&l%d;" % (i - 1) * 10) for i in range(1, 9))
    add(
        "bomb",
        "a.docx",
        documents.ooxml(("word/styles.xml", b'<!DOCTYPE x [<!ENTITY l0 "ha">' + laugh + b"]><x>&l8;</x>")),
        "clean",
        "billion laughs in a document",
        media=documents.DOCX,
        also=("limit", "suspicious"),
    )
    add(
        "bomb",
        "a.pdf",
        documents.pdf(
            b"",
            b"<</Type/ObjStm/N 1/First 4/Filter[/FlateDecode/FlateDecode]/Length %d>>stream\n%b\nendstream"
            % (len(zlib.compress(zlib.compress(zeros))), zlib.compress(zlib.compress(zeros))),
        ),
        "limit",
        "an object stream of 64 MiB in 300 bytes",
        media="application/pdf",
        also=("clean",),
    )
    sparse = tarred(("x", b""))[:512]
    add(
        "bomb",
        "a.tar",
        sparse[:124] + b"77777777777\0" + sparse[136:148] + b"        " + sparse[156:] + bytes(1024),
        "unscannable",
        "a tar whose member says 8 GiB",
        media="application/x-tar",
        also=("clean", "corrupt", "limit"),
    )


def deep_gzip(times: int) -> bytes:
    data = EICAR
    for _ in range(times):
        data = gzip.compress(data, mtime=0)
    return data


def overlapping(packed: bytes, size: int, count: int) -> bytes:
    """A zip with `count` entries of one member."""
    whole = raw_zip(b"a", packed, b"", 8)
    local = 31 + len(packed)
    central = whole[local : whole.rindex(b"PK\5\6")]
    central = central[:16] + struct.pack("<3L", 0, len(packed), size) + central[28:]
    return (
        whole[:local]
        + central * count
        + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(central) * count, local, 0)
    )


def zips(deck: Deck) -> None:
    def add(name: str, data: bytes | None, expect: str, reason: str, media: str = ZIP, **more: Any) -> None:
        deck.add("archive", name, data, expect, reason, media=media, **more)

    add("a.zip", zipped(("eicar.com", EICAR)), "infected", "deflated")
    for method in ("Deflate64", "BZip2", "LZMA", "PPMd"):
        big = EICAR + b" " * 60
        add(
            "a.zip",
            archives.by_7z("zip", "eicar.com", big, f"-mm={method}"),
            "infected",
            f"{method}",
            also=("unscannable",) if method in {"Deflate64", "PPMd"} else (),
        )
    add("a.zip", raw_zip(b"e.com", lzma.compress(EICAR), EICAR, 95), "infected", "xz")
    add("a.zip", raw_zip(b"e.com", zstd(EICAR), EICAR, 93), "infected", "zstd")
    add("a.zip", raw_zip(b"e.com", bz2.compress(EICAR), EICAR, 12), "infected", "bzip2")
    add("a.zip", raw_zip(b"e.com", bytes(50), EICAR, 1), "unscannable", "shrunk, as in 1990")
    add("a.zip", archives.streamed(("e.com", EICAR)), "infected", "data descriptors")
    add("a.zip", archives.zip64("e.com", EICAR), "infected", "zip64")
    add(
        "a.zip",
        b"#!/bin/sh\nexit\n" + zipped(("e.com", EICAR)),
        "infected",
        "behind a script",
        also=("type:text/x-sh",),
    )
    add("a.zip", bytes(100_000) + zipped(("e.com", EICAR)), "infected", "100 KB before it")
    add("a.zip", zipped(("../../../etc/e.com", EICAR)), "infected", "a name that climbs")
    add("a.zip", zipped(("/etc/e.com", EICAR)), "infected", "an absolute name")
    add("a.zip", zipped(("C:\\windows\\e.com", EICAR)), "infected", "a name of Windows")
    add(
        "a.zip",
        zipped(("\u202emoc.e", EICAR)),
        "infected",
        "a name from right to left",
        also=("type:application/x-msdownload",),
    )
    add("a.zip", zipped(("x" * 60_000, EICAR)), "infected", "a very long name")
    add("a.zip", zipped(("dir/", EICAR)), "infected", "a folder with content")
    add("a.zip", zipped(("a", b"1"), ("a", EICAR)), "infected", "the same name twice")
    add(
        "a.zip",
        zipped(("e.com", EICAR), comment=b"PK\5\6" + bytes(18)),
        "infected",
        "an end record in the comment",
    )
    add("a.zip", zipped(("a.txt", b"hi"), comment=EICAR), "clean", "EICAR in the comment: not a file")
    add(
        "a.zip",
        zipped(("e.com", EICAR)).replace(b"PK\1\2", b"PK\1\3"),
        "infected",
        "the directory is broken, the member is not",
        also=("unscannable",),
    )
    add(
        "a.zip",
        raw_zip(b"e.com", EICAR, b"other", 0),
        "infected",
        "a wrong check sum: many unpackers do not care",
        also=("unscannable", "corrupt"),
    )
    add("a.zip", nested(EICAR, 10), "infected", "ten levels")
    add("a.zip", nested(EICAR, 15), "infected", "fifteen levels")
    add(
        "a.zip",
        zipped(("a.txt", b"text"), ("b/c.txt", b"more")),
        "clean",
        "ordinary",
        media="application/x-zip-compressed",
    )
    add("a.zip", zipped(("a.txt", b"text" * 5000), method=12), "clean", "ordinary, bzip2")
    add("a.zip", archives.streamed(("a.txt", b"text")), "clean", "ordinary, streamed")
    add("a.zip", archives.zip64("a.txt", b"text"), "clean", "ordinary, zip64")
    add(
        "a.zip",
        zipped(("password.txt", b"no secret"), ("encrypted.docx.txt", b"x")),
        "clean",
        "names that only say so",
    )
    add(
        "a.zip",
        zipped(("e.com", EICAR))[:-30],
        "infected",
        "its end is missing",
        also=("corrupt", "unscannable"),
    )
    add(
        "a.zip",
        zipped(("a.bin", random.Random(1).randbytes(5000)))[:3000],
        "unscannable",
        "it breaks off in a member",
        also=("corrupt",),
    )


def others(deck: Deck) -> None:
    def add(
        name: str, data: bytes | None, expect: str, reason: str, media: str = OCTETS, **more: Any
    ) -> None:
        deck.add("archive", name, data, expect, reason, media=media, **more)

    tar = tarred(("e.com", EICAR))
    add("a.tar.gz", gzip.compress(tar, mtime=0), "infected", "tar.gz", media="application/gzip")
    add("a.tar.zst", zstd(tar), "infected", "tar.zst", media="application/zstd")
    add("a.tar.br", brotli(tar), "infected", "tar.br: nothing in it says so", also=("clean",))
    add("a.tar.lzma", lzma.compress(tar, lzma.FORMAT_ALONE), "infected", "tar.lzma")
    add("a.tgz", gzip.compress(tarred(("../e.com", EICAR)), mtime=0), "infected", "a name that climbs")
    for kind in (0, 1, 2):
        add(
            "a.tar",
            tarred(("n" * 200 if kind else "e.com", EICAR), form=kind),
            "infected",
            f"tar of form {kind}",
        )
    add(
        "a.tar",
        tar[:700],
        "infected",
        "a tar that breaks off after the file's data",
        also=("unscannable", "corrupt"),
    )
    for method in ("LZMA", "LZMA2", "PPMd", "BZip2", "Deflate", "Copy", "Deflate64"):
        add(
            "a.7z",
            archives.by_7z("7z", "eicar.com", EICAR + b" " * 60, f"-m0={method}"),
            "infected",
            f"7z {method}",
            also=("unscannable",) if method == "Deflate64" else (),
        )
    add(
        "a.7z",
        archives.by_7z("7z", "eicar.com", EICAR, "-m0=BCJ", "-m1=LZMA"),
        "infected",
        "7z with a filter",
    )
    add("a.tar.xz", archives.by_7z("xz", "e.tar", tar), "infected", "xz by 7z")
    add(
        "a.wim",
        archives.by_7z("wim", "eicar.com", EICAR),
        "infected",
        "a Windows image",
        also=("unscannable",),
    )
    add("a.rar", archives.rar4(b"e.com", EICAR), "infected", "RAR 4, stored", media="application/vnd.rar")
    add("a.rar", archives.rar5(b"e.com", EICAR), "infected", "RAR 5, stored", media="application/vnd.rar")
    add(
        "a.exe",
        PE + archives.rar5(b"e.com", EICAR),
        "infected",
        "a RAR self-extractor",
        media="application/x-msdownload",
    )
    add(
        "a.cab",
        archives.cab(b"e.com", EICAR),
        "infected",
        "cab, stored",
        media="application/vnd.ms-cab-compressed",
    )
    add("a.cab", archives.cab(b"e.com", EICAR, mszip=True), "infected", "cab, MSZIP")
    for form in ("cpio", "newc", "ar", "iso9660", "xar"):
        add(
            f"a.{form}",
            archives.by_bsdtar("e.com", EICAR, "--format", form),
            "infected",
            f"{form} by bsdtar",
            also=("unscannable",) if form == "xar" else (),
        )
    for option in ("--lz4", "-Z", "--lzip"):
        add(
            f"a.tar{option}",
            archives.by_bsdtar("e.com", EICAR, option),
            "infected",
            f"tar {option}",
            also=("unscannable",) if option == "--lz4" else (),
        )
    add(
        "a.jar",
        zipped(("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n"), ("e.com", EICAR)),
        "infected",
        "in a jar",
        media="application/java-archive",
    )
    add(
        "a.apk",
        zipped(
            ("AndroidManifest.xml", b"\3\0\x08\0"),
            ("META-INF/CERT.RSA", b"0\x82"),
            ("classes.dex", b"dex\n035\0"),
        ),
        "clean",
        "an app",
        media="application/vnd.android.package-archive",
    )
    add(
        "a.7z",
        archives.by_7z("7z", "a.txt", b"text"),
        "clean",
        "ordinary",
        media="application/x-7z-compressed",
    )
    add("a.rar", archives.rar5(b"a.txt", b"text"), "clean", "ordinary", media="application/vnd.rar")
    add("a.cab", archives.cab(b"a.txt", b"text"), "clean", "ordinary")
    add("a.gz", gzip.compress(b"line\n" * 9000, mtime=0), "clean", "a log", media="application/gzip")
    add("a.tar.xz", lzma.compress(tarred(("a", b"text"))), "clean", "ordinary", media="application/x-xz")
    add(
        "a.rar",
        b"Rar!\x1a\x07\0" + bytes(60),
        "unscannable",
        "a RAR that is none",
        media="application/vnd.rar",
        also=("corrupt", "clean"),
    )


def encrypted(deck: Deck) -> None:
    def add(name: str, data: bytes | None, reason: str, expect: str = "encrypted", **more: Any) -> None:
        deck.add("encrypted", name, data, expect, reason, **more)

    text = b"some text " * 20
    add("a.zip", archives.zipcrypto(b"a.txt", text, b"secret"), "ZipCrypto", media=ZIP)
    for bits in (128, 192, 256):
        add(
            "a.zip",
            archives.by_7z("zip", "a.txt", text, "-psecret", f"-mem=AES{bits}"),
            f"AES {bits}",
            media=ZIP,
        )
    add(
        "a.zip",
        raw_zip(b"a.txt", text, text, 0, central_flags=1),
        "flag in the directory alone, text all the same",
        media=ZIP,
        also=("clean",),
    )
    add("a.zip", raw_zip(b"a.txt", bytes(80), text, 8, flags=0x41), "strong encryption", media=ZIP)
    add("a.zip", zipped(("in.zip", archives.zipcrypto(b"a.txt", text, b"secret"))), "in a zip", media=ZIP)
    add(
        "a.tar.gz",
        gzip.compress(tarred(("in.zip", archives.zipcrypto(b"a.txt", text, b"s"))), mtime=0),
        "in a tar.gz",
    )
    add(
        "a.zip",
        zipped(("r.txt", text)) + archives.zipcrypto(b"a.txt", text, b"secret"),
        "behind a plain zip",
        media=ZIP,
    )
    add("a.7z", archives.by_7z("7z", "a.txt", text, "-psecret"), "7z: data", also=("unscannable",))
    add(
        "a.7z",
        archives.by_7z("7z", "a.txt", text, "-psecret", "-mhe=on"),
        "7z: names as well",
        also=("unscannable",),
    )
    add("a.rar", archives.rar5(b"a.txt", text, encrypted=True), "RAR 5", also=("unscannable",))
    add("a.rar", archives.rar5(b"a.txt", text, locked=True), "RAR 5: names as well", also=("unscannable",))
    add("a.rar", archives.rar4(b"a.txt", text, flags=4), "RAR 4", also=("unscannable",))
    add(
        "a.rar", archives.rar4(b"a.txt", text, head_flags=0x80), "RAR 4: names as well", also=("unscannable",)
    )
    add("a.docx", documents.encrypted_ooxml(), "Office, Agile", media=documents.DOCX)
    add("a.docx", documents.encrypted_ooxml(standard=True), "Office, Standard", media=documents.DOCX)
    add("a.zip", zipped(("a.docx", documents.encrypted_ooxml())), "Office in a zip", media=ZIP)
    add("a.doc", documents.doc(encrypted=True), "Word 97", media="application/msword")
    add("a.xls", documents.xls((b"A", 0), filepass=True), "Excel 97", media="application/vnd.ms-excel")
    add("a.ppt", documents.ppt(encrypted=True), "PowerPoint 97", media="application/vnd.ms-powerpoint")
    for user, owner in (("secret", "owner"), ("", "owner")):
        add(
            "a.pdf",
            documents.locked_pdf(user, owner),
            f"PDF, user password {user!r}",
            media="application/pdf",
            also=() if user else ("clean",),
        )
    entry = '<manifest:file-entry manifest:full-path="content.xml"><manifest:encryption-data manifest:checksum="x"/></manifest:file-entry>'
    add(
        "a.odt",
        documents.odf(manifest=entry),
        "OpenDocument",
        media="application/vnd.oasis.opendocument.text",
    )
    add("a.eml", mail(archives.zipcrypto(b"a.txt", text, b"s"), "a.zip"), "in a mail", media="message/rfc822")
    add(
        "a",
        form((b"f", b"a.zip", archives.zipcrypto(b"a.txt", text, b"s"), b"")),
        "in a form",
        media=FORM,
        upload=True,
    )
    add(
        "a.pgp",
        b"-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n",
        "PGP",
        also=("clean",),
        media="text/plain",
    )
    add("a.bin", random.Random(7).randbytes(40_000), "random bytes prove nothing", "clean")


def mail(data: bytes, name: str, coding: str = "base64") -> bytes:
    body = base64.encodebytes(data) if coding == "base64" else data
    return (
        f"From: a@a.test\r\nTo: b@b.test\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n"
        f"--bb\r\nContent-Type: text/plain\r\n\r\nhello\r\n--bb\r\nContent-Type: {OCTETS}; name={name}\r\n"
        f"Content-Transfer-Encoding: {coding}\r\nContent-Disposition: attachment; filename={name}\r\n\r\n"
    ).encode() + body + b"\r\n--bb--\r\n"  # fmt: skip


def form(*parts: tuple[bytes, bytes, bytes, bytes], boundary: bytes = b"xx") -> bytes:
    """A form of (field, file name, content, further header lines)."""
    out = b""
    for field, name, data, more in parts:
        named = b'; filename="%b"' % name if name else b""
        out += b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n%b\r\n%b\r\n' % (
            boundary,
            field,
            named,
            more,
            data,
        )
    return out + b"--%b--\r\n" % boundary


def office(deck: Deck) -> None:
    def add(
        name: str, data: bytes | None, expect: str, reason: str, media: str = OCTETS, **more: Any
    ) -> None:
        deck.add("office", name, data, expect, reason, media=media, **more)

    d = documents
    macro = ("word/vbaProject.bin", d.vba())
    add(
        "a.docm",
        d.ooxml(macro, main="application/vnd.ms-word.document.macroEnabled.main+xml"),
        "macro",
        "docm",
        media=d.DOCM,
    )
    add("a.docx", d.ooxml(("word/x.bin", d.vba())), "macro", "the project under another name", media=d.DOCX)
    add("a.docx", d.ooxml(("custom/data.dat", d.vba())), "macro", "and another ending", media=d.DOCX)
    add(
        "a.xlsm",
        d.ooxml(
            ("xl/vbaProject.bin", d.vba()),
            folder="xl",
            main="application/vnd.ms-excel.sheet.macroEnabled.main+xml",
        ),
        "macro",
        "xlsm",
    )
    add("a.pptm", d.ooxml(("ppt/vbaProject.bin", d.vba()), folder="ppt"), "macro", "pptm")
    add("a.doc", d.doc(macros=True), "macro", "doc", media="application/msword")
    add(
        "a.xls",
        d.xls((b"A", 0), _VBA_PROJECT_CUR__VBA__dir=b"\1", _VBA_PROJECT_CUR__PROJECT=b"ID"),
        "macro",
        "xls",
    )
    add("a.xls", d.xls((b"A", 0), (b"M", 1)), "macro", "xls with an Excel 4 macro sheet")
    add("a.ppt", d.ppt(macros=True), "macro", "ppt, its project compressed in a record")
    add("a.zip", zipped(("a.doc", d.doc(macros=True))), "macro", "doc in a zip", media=ZIP)
    add("a.eml", mail(d.doc(macros=True), "a.doc"), "macro", "doc in a mail", media="message/rfc822")
    add(
        "a",
        form((b"f", b"a.docx", d.ooxml(macro), b"")),
        "macro",
        "docx with macros, uploaded",
        media=FORM,
        upload=True,
    )
    basic = b'<?xml version="1.0"?><script:module xmlns:script="x" script:name="M">Sub Main\nShell("x")\nEnd Sub</script:module>'
    add(
        "a.ods",
        d.odf(("Basic/Standard/Module1.xml", basic), kind="spreadsheet"),
        "macro",
        "OpenDocument Basic",
    )
    add("a.odt", d.odf(("Scripts/python/a.py", b"import os")), "macro", "OpenDocument Python")
    add(
        "a.docx",
        d.ooxml(links=d.link("attachedTemplate", "http://evil.test/t.dotm")),
        "suspicious",
        "a template from elsewhere",
        media=d.DOCX,
        also=("clean",),
    )
    add(
        "a.docx",
        d.ooxml(links=d.link("oleObject", "mhtml:http://evil.test/x.html!x-usc:http://evil.test/x.html")),
        "suspicious",
        "an object from elsewhere",
        also=("clean",),
    )
    add("a.docx", d.ooxml(("word/embeddings/oleObject1.bin", EICAR)), "infected", "EICAR embedded")
    add(
        "a.pdf",
        d.pdf(b"/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>"),
        "suspicious",
        "JavaScript when opened",
        media="application/pdf",
        also=("clean",),
    )
    add(
        "a.pdf",
        d.pdf(b"/OpenAction<</S/J#61vaScript/J#53(x)>>"),
        "suspicious",
        "with escapes in the names",
        media="application/pdf",
        also=("clean", "infected"),
    )
    add(
        "a.pdf",
        d.pdf(b"/OpenAction<</S/JavaScript/JS(x)>>", packed=True),
        "suspicious",
        "in an object stream",
        media="application/pdf",
        also=("clean",),
    )
    add(
        "a.pdf",
        d.pdf(b"/OpenAction<</S/Launch/F(cmd.exe)>>"),
        "suspicious",
        "a program",
        media="application/pdf",
        also=("clean",),
    )
    add(
        "a.pdf",
        d.pdf(b"/AA<</O 4 0 R>>", b"<</S/Launch/Win<</F(cmd.exe)/P(/c calc)>>>>"),
        "suspicious",
        "a program, by an additional action",
        media="application/pdf",
        also=("clean",),
    )
    packed = zlib.compress(EICAR)
    add(
        "a.pdf",
        d.pdf(
            b"/Names<</EmbeddedFiles 4 0 R>>",
            b"<</Type/EmbeddedFile/Filter/FlateDecode/Length %d>>stream\n%b\nendstream"
            % (len(packed), packed),
        ),
        "infected",
        "EICAR attached",
        media="application/pdf",
    )
    add(
        "a.pdf",
        bytes(900).replace(b"\0", b" ") + d.pdf(b"/OpenAction<</S/JavaScript/JS(x)>>"),
        "suspicious",
        "garbage before the header",
        media="application/pdf",
        also=("clean",),
    )
    add(
        "a.rtf",
        b"{\\rtf1{\\object\\objemb{\\*\\objdata 0105000002000000080000005061636b61676500}}}",
        "suspicious",
        "an object",
        media="application/rtf",
        also=("clean",),
    )
    add("a.docx", d.ooxml(), "clean", "no macro", media=d.DOCX)
    add("a.xlsx", d.ooxml(folder="xl", main=f"{d.XLSX}.main+xml"), "clean", "no macro", media=d.XLSX)
    add("a.doc", d.doc(), "clean", "no macro", media="application/msword")
    add(
        "a.xls",
        d.xls((b"Macro1", 0)),
        "clean",
        "a sheet that is called Macro1",
        media="application/vnd.ms-excel",
    )
    add("a.ppt", d.ppt(), "clean", "no macro", media="application/vnd.ms-powerpoint")
    add("a.odt", d.odf(), "clean", "no macro", media="application/vnd.oasis.opendocument.text")
    empty = b'<?xml version="1.0"?><library:library xmlns:library="x" library:name="Standard"/>'
    add(
        "a.ods",
        d.odf(("Basic/Standard/script-lb.xml", empty), ("Basic/script-lc.xml", empty), kind="spreadsheet"),
        "clean",
        "an empty library, as Calc writes it",
    )
    add("a.pdf", d.pdf(), "clean", "no action", media="application/pdf")
    add("a.pdf", d.pdf(b"/OpenAction[3 0 R/Fit]"), "clean", "opens at a page", media="application/pdf")
    add(
        "a.pdf",
        d.pdf(b"/Info(about /JavaScript and /Launch and /Encrypt)"),
        "clean",
        "only talks of it",
        media="application/pdf",
    )
    add("a.docx", d.ooxml(links=d.link("hyperlink", "http://www.test/")), "clean", "a link", media=d.DOCX)
    add("a.rtf", b"{\\rtf1\\ansi Hello \\b there\\b0 .}", "clean", "ordinary", media="application/rtf")


def parts(deck: Deck) -> None:
    def add(data: bytes, expect: str, reason: str, media: str = FORM, **more: Any) -> None:
        more = {"upload": True, **more}
        deck.add("multipart", "form", data, expect, reason, media=media, **more)

    file = (b"file", b"e.com", EICAR, b"")
    add(form(file), "infected", "a file")
    add(
        form((b"a", b"", b"text", b""), (b"b", b"", b"x" * 3000, b""), file), "infected", "after other fields"
    )
    add(form((b"a", b"", EICAR, b"")), "infected", "a field without a file name")
    add(
        form(file, boundary=b"a b:c"),
        "infected",
        "a quoted boundary",
        media='multipart/form-data; boundary="a b:c"',
    )
    add(
        form(file),
        "infected",
        "another boundary is declared",
        media="multipart/form-data; boundary=yy",
        also=("corrupt", "unscannable"),
    )
    add(
        form(file),
        "infected",
        "two boundaries are declared",
        media="multipart/form-data; boundary=yy; boundary=xx",
    )
    add(form(file), "infected", "BOUNDARY", media="Multipart/Form-Data; BOUNDARY=xx")
    add(
        form(
            (
                b"file",
                b"e.com",
                b"=".join(b"%02X" % byte for byte in EICAR).join([b"=", b""]),
                b"Content-Transfer-Encoding: quoted-printable\r\n",
            )
        ),
        "infected",
        "quoted-printable",
        also=("clean",),
    )
    add(
        form((b"f", b"e.com", base64.encodebytes(EICAR), b"Content-Transfer-Encoding: Base64\r\n")),
        "infected",
        "base64",
        also=("clean",),
    )
    inner = form(file, boundary=b"yy")
    add(
        b"--xx\r\nContent-Type: multipart/mixed; boundary=yy\r\n\r\n" + inner + b"--xx--\r\n",
        "infected",
        "parts in a part",
    )
    add(
        b"preamble " + EICAR + b"\r\n" + form((b"a", b"", b"x", b"")),
        "clean",
        "EICAR in the preamble: nobody takes it for a file",
        also=("infected",),
    )
    add(b"a preamble\r\n" + form(file) + b"an epilogue", "infected", "preamble and epilogue")
    add(form(file).replace(b"\r\n", b"\n"), "infected", "bare line feeds", also=("unscannable",))
    add(form(file)[:-8], "infected", "the end is missing")
    add(
        form((b"file", b"a.bin", b"\0\0\0" + bytes(300) + b"data", b""), file),
        "infected",
        "NULs in another part",
    )
    add(form((b"file", b"e.com\0.txt", EICAR, b"")), "infected", "NUL in the name")
    add(
        form((b"file", b"", EICAR, b"")).replace(b'name="file"', b"name=\"file\"; filename*=UTF-8''e%2Ecom"),
        "infected",
        "filename*",
    )
    add(
        form(file).replace(b"Content-Disposition", b"CONTENT-disposition"),
        "infected",
        "the header in another case",
    )
    add(
        form(file).replace(
            b'form-data; name="file"; filename="e.com"', b"form-data;\r\n name=file;\r\n filename=e.com"
        ),
        "infected",
        "a folded header",
    )
    add(
        form((b"file", b"a.zip", zipped(("e.com", EICAR)), b"Content-Type: image/png\r\n")),
        "infected",
        "a zip, called a picture",
    )
    add(
        form((b"file", b"a.gz", gzip.compress(EICAR, mtime=0), b"Content-Encoding: gzip\r\n")),
        "infected",
        "a compressed part",
    )
    add(gzip.compress(form(file), mtime=0), "infected", "a compressed form", Content_Encoding="gzip")
    add(
        form((b"a", b"", b"hello", b""), (b"p", b"a.png", PNG, b"Content-Type: image/png\r\n")),
        "clean",
        "an ordinary form",
    )
    add(
        form((b"a", b"", b"I wrote about EICAR-STANDARD-ANTIVIRUS-TEST-FILE", b"")),
        "clean",
        "a text about it",
    )
    add(
        b"a=1&b=2&text=" + b"hello+" * 500,
        "clean",
        "an ordinary form of the other kind",
        media="application/x-www-form-urlencoded",
    )
    add(
        b"file=" + EICAR.replace(b"%", b"%25").replace(b"+", b"%2B"),
        "clean",
        "EICAR in a field's text",
        media="application/x-www-form-urlencoded",
        also=("infected",),
    )
    add(json.dumps({"a": [1, 2, {"b": "c" * 1000}]}).encode(), "clean", "JSON", media="application/json")
    add(mail(EICAR, "e.com"), "infected", "a mail", media="message/rfc822", upload=False)
    add(mail(EICAR, "e.com", "7bit"), "infected", "a mail, not coded", media="message/rfc822", upload=False)
    add(
        mail(mail(EICAR, "e.com"), "m.eml"),
        "infected",
        "a mail in a mail",
        media="message/rfc822",
        upload=False,
    )
    add(mail(EICAR, "e.com"), "infected", "a mail called text", media="text/plain", upload=False)
    add(mail(b"text", "a.txt"), "clean", "an ordinary mail", media="message/rfc822", upload=False)
    add(
        b"--xx\r\nContent-Type: text/plain\r\n\r\n" + EICAR + b"\r\n--xx--\r\n",
        "infected",
        "multipart/related upload (an API)",
        media="multipart/related; boundary=xx",
    )


def lies(deck: Deck) -> None:
    def add(name: str, data: bytes, expect: str, reason: str, media: str | None, **more: Any) -> None:
        deck.add("type-lie", name, data, expect, reason, media=media, **more)

    for name, media in (
        ("a.jpg", "image/jpeg"),
        ("a.txt", "text/plain"),
        ("a.pdf", "application/pdf"),
        ("a.zip", ZIP),
        ("a.css", "text/css"),
        ("a.mp3", "audio/mpeg"),
        ("a.woff2", "font/woff2"),
        ("a.json", "application/json"),
        ("a.html", "text/html"),
        ("a.docx", documents.DOCX),
    ):
        add(name, PE, EXE_TYPE, f"a program served as {media}", media)
    add("a.txt", PE, EXE_TYPE, "a program whose name alone lies", OCTETS, also=("clean",))
    add(
        "x",
        PE,
        EXE_TYPE,
        "a double ending",
        OCTETS,
        Content_Disposition='attachment; filename="invoice.pdf.exe"',
        also=("clean",),
    )
    add(
        "x",
        PE,
        EXE_TYPE,
        "two Content-Disposition fields",
        OCTETS,
        Content_Disposition='attachment; filename="a.exe"',
        Content_Disposition__2='inline; filename="a.txt"',
        also=("clean",),
    )
    add("x", PE, EXE_TYPE, "a media type of two", "text/plain, application/x-msdownload")
    add("a.exe", PE, "clean", "a program served as one", "application/x-msdownload")
    add("a.exe", PE, "clean", "a program as octets", OCTETS)
    add(
        "a.exe",
        PE,
        "clean",
        "a program, another of its types",
        "application/vnd.microsoft.portable-executable",
    )
    add("a.exe", PE, "clean", "a program without a type", None)
    add(
        "a.png",
        b"\x7fELF\2\1\1" + bytes(60),
        "type:application/x-executable",
        "ELF as a picture",
        "image/png",
    )
    add(
        "a.gif",
        b"<?php system($_GET['c']); ?>",
        "type:application/x-httpd-php",
        "PHP as a picture",
        "image/gif",
    )
    add("a.jpg", b"<script>alert(1)</script>", "type:text/html", "a script tag as a picture", "image/jpeg")
    add(
        "a.png",
        b"\xff\xfe" + "<html><script>alert(1)</script></html>".encode("utf-16-le"),
        "type:text/html",
        "UTF-16 HTML as a picture",
        "image/png",
    )
    add(
        "a.jpg",
        b"Rar!\x1a\x07\x01\x00" + archives.rar5(b"a.txt", b"text")[8:],
        "type:application/vnd.rar",
        "RAR as a picture",
        "image/jpeg",
        also=("clean",),
    )
    add(
        "a.mp3",
        b"L\0\0\0\x01\x14\x02\0" + bytes(4) + b"\xc0\0\0\0\0\0\0\x46" + bytes(60),
        "type:application/x-ms-shortcut",
        "a shortcut as music",
        "audio/mpeg",
    )
    add(
        "a.jpg",
        b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(200) + zipped(("e.com", EICAR)),
        "infected",
        "a zip behind a picture",
        "image/jpeg",
    )
    add("a.png", PNG + zipped(("e.com", EICAR)), "infected", "a zip behind a PNG", "image/png")
    add(
        "a.pdf",
        b"%PDF-1.5\n" + zipped(("e.com", EICAR)),
        "infected",
        "PDF and zip at once",
        "application/pdf",
    )
    add(
        "u7.html",
        b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
        "clean",
        "UTF-7: no browser reads it",
        "text/html; charset=utf-7",
        also=("suspicious",),
    )
    add("u16.html", b"\xff\xfe" + PAGE.decode().encode("utf-16-le"), "clean", "a page in UTF-16", "text/html")
    add("a.jpg", b"\x89PNG\r\n\x1a\n" + PNG[8:], "clean", "a PNG called JPEG: common", "image/jpeg")
    add("a.png", PAGE, "clean", "a page where a picture was asked for, 404: common", "image/png", status=404)
    add("a.png", PAGE, "clean", "and 503", "image/png", status=503)
    add("a.js", PAGE, "clean", "a page as a script: broken sites", "application/javascript")
    add(
        "MZ.txt",
        b"MZ is how programs begin, said the text\n" * 5,
        "clean",
        "a text that begins with MZ",
        "text/plain",
    )
    add("PK.txt", b"PK\nis not a zip\n", "clean", "a text that begins with PK", "text/plain")
    add("a.txt", b"%PDF- is how a PDF begins\n", "clean", "a text that begins so", "text/plain")
    add("sh.txt", b"#!/bin/sh\necho hello\n", "clean", "a script as text: every code forge", "text/plain")


def sizes(deck: Deck) -> None:
    def add(data: bytes, expect: str, reason: str, **more: Any) -> None:
        deck.add("range", "r", data, expect, reason, **more)

    add(EICAR, "infected", "206 that holds all", status=206, Content_Range="bytes 0-67/68")
    add(
        EICAR,
        "infected",
        "206 of all, the length not known",
        status=206,
        Content_Range="bytes 0-67/*",
        also=("partial",),
    )
    add(EICAR[:30], "partial", "the first part", status=206, Content_Range="bytes 0-29/68")
    add(
        b"text" * 10,
        "partial",
        "a part of a text",
        status=206,
        Content_Range="bytes 40-79/500",
        media="text/plain",
    )
    add(
        zipped(("e.com", EICAR))[20:],
        "partial",
        "a zip without its head",
        status=206,
        Content_Range="bytes 20-180/186",
        media=ZIP,
        also=("infected",),
    )
    ranges = b"".join(
        b"--xx\r\nContent-Type: %b\r\nContent-Range: bytes %d-%d/68\r\n\r\n%b\r\n"
        % (OCTETS.encode(), a, b - 1, EICAR[a:b])
        for a, b in ((0, 34), (34, 68))
    )
    add(
        ranges + b"--xx--\r\n",
        "partial",
        "two ranges that are all together",
        status=206,
        media="multipart/byteranges; boundary=xx",
        also=("infected",),
    )
    whole = b"--xx\r\nContent-Range: bytes 0-67/68\r\n\r\n" + EICAR + b"\r\n--xx--\r\n"
    add(
        whole,
        "infected",
        "all in one range of several",
        status=206,
        media="multipart/byteranges; boundary=xx",
        also=("partial",),
    )
    add(b"x" * 34, "partial", "a wrong Content-Range", status=206, Content_Range="bytes 0-67/68")
    add(
        b"text",
        "partial",
        "an unreadable Content-Range",
        status=206,
        Content_Range="bites 1",
        also=("clean",),
    )
    add(
        b"text" * 9,
        "clean",
        "Content-Range in a 200 means nothing",
        Content_Range="bytes 5-9/100",
        media="text/plain",
        also=("partial",),
    )
    add(b"hello", "partial", "fewer bytes than Content-Length says", Content_Length="500", media="text/plain")
    add(EICAR, "infected", "fewer bytes, and a virus", Content_Length="500", also=("partial",))
    add(
        b"hello" * 10,
        "clean",
        "more bytes than Content-Length says",
        Content_Length="5",
        media="text/plain",
        also=("partial",),
    )
    add(b"", "clean", "nothing at all", status=204, media=None)
    add(b"hel", "partial", "an upload cut short", Content_Length="50", upload=True)


def benign(deck: Deck) -> None:
    def add(name: str, data: bytes, media: str, reason: str, **more: Any) -> None:
        deck.add("benign", name, data, "clean", reason, media=media, **more)

    rnd = random.Random(3)
    add("a.woff2", b"wOF2\0\1\0\0" + rnd.randbytes(20_000), "font/woff2", "a font")
    add("a.ttf", b"\0\1\0\0\0\x0c\0\x80\0\3\0\x40" + rnd.randbytes(20_000), "font/ttf", "a font")
    add(
        "a.webp",
        b"RIFF" + struct.pack("<I", 9000) + b"WEBPVP8 " + rnd.randbytes(9000),
        "image/webp",
        "a picture",
    )
    add("a.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + rnd.randbytes(90_000), "video/mp4", "a film")
    add(
        "a.db",
        b"SQLite format 3\0\x10\0\1\1\0\x40  " + bytes(4000) + rnd.randbytes(9000),
        "application/vnd.sqlite3",
        "a database",
    )
    add(
        "a.pcap",
        struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + rnd.randbytes(3000),
        "application/vnd.tcpdump.pcap",
        "a capture",
    )
    add("a.wasm", b"\0asm\1\0\0\0" + rnd.randbytes(9000), "application/wasm", "WebAssembly")
    add(
        "a.js.map",
        json.dumps({"version": 3, "mappings": "AAAA;" * 9000, "sources": ["a.js"] * 200}).encode(),
        "application/json",
        "a source map",
    )
    add(
        "a.json",
        json.dumps([{"id": i, "text": "x" * 50} for i in range(9000)]).encode(),
        "application/json",
        "700 KB of JSON",
    )
    add(
        "a.css",
        b".a{color:red;background:url(data:image/png;base64," + base64.b64encode(PNG) + b")}\n" * 3000,
        "text/css",
        "a style with pictures",
    )
    add(
        "a.js",
        b"function a(){var e=document.createElement('a');return e.click(),atob('aGVsbG8=')}\n" * 9000,
        "application/javascript",
        "700 KB of script",
    )
    add(
        "a.txt",
        b"The EICAR test file is X5O!P%@AP[4 and so on: " + EICAR[20:] + b"\n",
        "text/plain",
        "about EICAR",
    )
    add("a.txt", base64.encodebytes(rnd.randbytes(9000)), "text/plain", "base64 text")
    add("a.txt", base64.encodebytes(EICAR), "text/plain", "base64 of EICAR, as a text", also=("infected",))
    add(
        "a.pem",
        b"-----BEGIN CERTIFICATE-----\n"
        + base64.encodebytes(rnd.randbytes(900))
        + b"-----END CERTIFICATE-----\n",
        "application/x-pem-file",
        "a certificate",
    )
    add(
        "a.jar",
        zipped(
            ("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n"),
            ("META-INF/A.SF", b"Signature"),
            ("META-INF/A.RSA", b"0\x82" + rnd.randbytes(900)),
            ("a/B.class", b"\xca\xfe\xba\xbe\0\0\0\x34" + rnd.randbytes(900)),
        ),
        "application/java-archive",
        "a signed jar",
    )
    add(
        "a.epub",
        zipped(("mimetype", b"application/epub+zip"), ("a.xhtml", PAGE), method=0),
        "application/epub+zip",
        "a book",
    )
    add(
        "a.svg",
        b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0L9 9"/></svg>',
        "image/svg+xml",
        "a drawing",
    )
    add("a.xml", b'<?xml version="1.0"?><rss><channel><title>x</title></channel></rss>', "text/xml", "a feed")
    add("a.html", PAGE * 2000, "text/html", "200 KB of page")
    add("a.ics", b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n", "text/calendar", "a calendar")
    add("a.csv", b"a,b,c\n1,2,3\n" * 9000, "text/csv", "a table")
    add("a.csv", b"=SUM(A1:A9),b\n" * 90, "text/csv", "a table with formulas")
    add("a.bin", bytes(300_000), OCTETS, "zeros")
    add("a.bin", b"\xff" * 300_000, OCTETS, "ones")
    add("a.ts", b"\x47\x40\0\x10" + rnd.randbytes(184) * 900, "video/mp2t", "a film in pieces")
    add("a.m3u8", b"#EXTM3U\n#EXTINF:9,\na.ts\n", "application/vnd.apple.mpegurl", "a playlist")
    add("a.pb", rnd.randbytes(3000), "application/x-protobuf", "protobuf")
    add("a.patch", b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n" * 99, "text/x-diff", "a patch")
    add(
        "a.txt",
        b"--\r\nContent-Type: text/plain\r\n\r\nnot a mail\r\n" * 20,
        "text/plain",
        "looks like parts",
    )
    add("a.txt", b"x" * 65_537, "text/plain", "one over 64 KB")


def made() -> Deck:
    deck = Deck()
    for group in (plain, codings, bombs, zips, others, encrypted, office, parts, lies, sizes, benign):
        group(deck)
    return deck


def write(folder: Path) -> int:
    """Write the deck, as run_content.py takes it; return how many cases it has."""
    deck = made()
    (folder / "files").mkdir(parents=True, exist_ok=True)
    for number, data in deck.bodies.items():
        (folder / "files" / number).write_bytes(data)
    (folder / "index.jsonl").write_text("".join(json.dumps(case) + "\n" for case in deck.cases))
    signature = EICAR.hex()
    (folder / "lab_clamdb").mkdir(exist_ok=True)
    (folder / "lab_clamdb" / "lab.ndb").write_text(f"Lab.Eicar-Test:0:0:{signature}\n")
    spaced = " ".join(signature[i : i + 2] for i in range(0, len(signature), 2))
    (folder / "lab.yar").write_text(f"rule lab_eicar {{ strings: $a = {{ {spaced} }} condition: $a at 0 }}\n")
    return len(deck.cases)


if __name__ == "__main__":
    print(f"{write(Path(sys.argv[1]))} cases")
