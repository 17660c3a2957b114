"""A file says what it is, and what it is not; nothing breaks a reader."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.lists.formats import NoListError
from icapd.lists.spec import KINDS
from tests.lists.reading import read


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a.example\n", "lines"),
        ("[Adblock Plus 2.0]\n||a.example^\n", "Adblock"),
        ("! Title: x\n||a.example^\n", "Adblock"),
        ("@@||a.example^\n", "Adblock"),
        ("example.com##.ad\n", "Adblock"),
        ("$TTL 60\n@ SOA a. b. 1 2 3 4 5\n", "RPZ"),
        ("a.example CNAME .\n", "RPZ"),
        ("# a CNAME of comments\na.example\n", "lines"),
        ('[{"url": "http://a.example/"}]', "JSON"),
        ("[\n]", "JSON"),
        ("phish_id,url,detail\n1,http://a.example/,x\n", "CSV"),
        ("# id,dateadded,url,url_status\n", "CSV"),
        ('"1","2026-01-01","http://a.example/","online"\n', "CSV"),
        ("# see url, please\na.example", "lines"),
        ("# name, url, licence\na.example\n", "lines"),
    ],
)
def test_a_file_says_what_it_is(text: str, name: str) -> None:
    assert read("files", text)[0] == name


@pytest.mark.parametrize("kind", ["files", *KINDS])
@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html>\n<p>",
        b"\xef\xbb\xbf \n<HTML>",
        b"<html lang=en>",
        b"<?xml version='1.0'?>",
        b"<!-- x -->\n",
        b"<head>",
    ],
)
def test_a_web_page_is_no_list(kind: str, data: bytes) -> None:
    with pytest.raises(NoListError, match="web page"):
        read(kind, data)


@pytest.mark.parametrize(
    "magic", [b"\x1f\x8b\x08", b"PK\x03\x04", b"\xfd7zXZ\0", b"BZh9", b"\x28\xb5\x2f\xfd"]
)
def test_a_packed_file_is_no_list_yet(magic: bytes) -> None:
    with pytest.raises(NoListError, match="unpack"):
        read("files", magic)


@given(st.sampled_from(["files", *KINDS]), st.binary(max_size=200))
def test_no_bytes_break_a_reader(kind: str, data: bytes) -> None:
    try:
        read(kind, data)
    except NoListError:
        return


JUNK = st.lists(
    st.sampled_from(
        ["||a.example^", "@@", "||", "^", "$", "##", "\n", " ", "CNAME", "$TTL", "(", ")", ";", '"', ",", "url", "{", "}", "[", "]",
         ":", "http://", "a.example", "/", "%", "*.", ".", "1.2.3.4", "::", "/33", "rpz-ip", "-", "\t", "\0", "\u00fc", "IN", "A"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@given(st.sampled_from(["files", *KINDS]), JUNK)
def test_no_mixture_breaks_a_reader(kind: str, text: str) -> None:
    try:
        read(kind, text)
    except NoListError:
        return


LONG = 8_000
HOSTILE = {
    "blanks": "a" + " " * LONG + "b",
    "comment": "#" + " " * 60_000 + ",",
    "quotes": '"' + '\\"' * (LONG // 2),
    "percent": "a.example/" + "%25" * (LONG // 3),
    "dots": "a." * (LONG // 2) + "com",
    "umlauts": "\u00fc" * (LONG // 2) + ".com",
    "punycode": "xn--" + "a" * LONG + ".com",
    "colons": ":" * LONG,
    "ttl": "a " + "1s" * (LONG // 2) + "x",
    "class": "[a-z]{1,100}" * (LONG // 12),
    "digests": ("ab" * 16 + " ") * (LONG // 33),
}


@pytest.mark.parametrize("kind", ["files", *KINDS])
@pytest.mark.parametrize("before", ["", "[Adblock]\n", "$TTL 1\n", "id,url\n", "[{}\n"])
@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_no_line_takes_long(kind: str, before: str, line: str) -> None:
    """Nothing is quadratic in a line's length: the worst takes some 50 ms, a quadratic search seconds."""
    started = time.process_time()
    read(kind, before + line + "\n")
    assert time.process_time() - started < 0.5
