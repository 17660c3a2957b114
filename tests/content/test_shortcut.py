import random
import zlib

import pytest

from icapd.content.model import Shape
from icapd.content.shortcut import MOST, short_report
from tests.content.making import MARK, Body, body_of, read, walk, zipped

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40)
GIF = b"GIF89a\1\0\1\0\0\0\0;"
PLAIN = [
    (b'{"a": [1, 2]}', Shape(media=("application/json",))),
    (MARK, Shape(media=("text/plain",), names=("a.txt",))),
    (MARK, Shape(media=("text/plain",), length=1000)),
    (MARK, Shape(range="bytes 0-3/900")),
    (PNG, Shape(media=("image/png",), names=("a.png",))),
    (PNG, Shape(media=("text/html",), names=("a.exe",))),
    (GIF, Shape(codings=("identity",))),
    (b"wOF2" + bytes(300), Shape(media=("font/woff2",))),
    (b"x" * MOST, Shape()),
    (random.Random(3).randbytes(MOST), Shape(media=("application/octet-stream",), names=("a.html",))),
    (b"\xef\xbb\xbfabc", Shape()),
    (b"abc" * 9000 + b"%PDF-", Shape(media=("image/png",), names=("a.exe",))),
    (b"x " * 2000 + b"|'a'!", Shape(names=("a.htm",))),
    (zlib.compress(MARK), Shape()),
]
LONG = [
    (b"", Shape()),
    (b"x" * (MOST + 1), Shape()),
    (MARK, Shape(codings=("gzip",))),
    (MARK, Shape(codings=("x-lab",))),
    (MARK, Shape(media=("multipart/form-data",))),
    (MARK, Shape(media=("message/rfc822",))),
    (b"A: b\r\nMime-Version: 1.0\r\n\r\nx", Shape()),
    (b"<html>", Shape()),
    (b"<a>vbscript", Shape()),
    (b"\0<a onclick=atob(1)>", Shape(names=("a.html",))),
    (PNG + b"<!--data:-->", Shape(names=("a.svg",))),
    (b"<f>cmd|'/c calc'!A0</f>", Shape(names=("a.xml",))),
    (b" \0" * 3000 + "<svg onload=x>".encode("utf-16-le"), Shape(names=("a.svg",))),
    (zipped(("a", MARK)), Shape()),
    (GIF + zipped(("a", MARK)), Shape(media=("image/gif",))),
    (GIF + b"7z\xbc\xaf\x27\x1c\0", Shape()),
    (MARK, Shape(names=("a.br",))),
]


def short(body: Body, shape: Shape) -> object:
    report = short_report(shape, body)
    if report is None:
        return None
    try:
        return read(report).plain
    finally:
        report.close()


@pytest.mark.parametrize(("data", "shape"), PLAIN)
def test_it_says_what_the_long_way_says(data: bytes, shape: Shape) -> None:
    with body_of(data) as body:
        assert short(body, shape) == walk(data, shape).plain


@pytest.mark.parametrize(("data", "shape"), LONG)
def test_all_else_goes_the_long_way(data: bytes, shape: Shape) -> None:
    with body_of(data) as body:
        assert short(body, shape) is None
