"""Plain domains and hosts files: what is a name, what is not, and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.lists.formats.lines import MAX_LINE
from tests.lists.reading import ignored, read, taken

PUBLIC = "a public suffix: it would cover everybody's names below it"
NO_DOT = "a name without a dot: it would cover a whole top-level domain"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a.example", ["name a.example"]),
        ("A.Example.", ["name a.example"]),
        ("  a.example\t\r", ["name a.example"]),
        (".a.example", ["name a.example"]),
        ("*.a.example", ["name a.example"]),
        ("a_b.example", ["name a_b.example"]),
        ("b\u00fccher.example", ["name xn--bcher-kva.example"]),
        ("XN--BCHER-KVA.example", ["name xn--bcher-kva.example"]),
        ("a.example # why", ["name a.example"]),
        ("blogs.github.io", ["name blogs.github.io"]),
        ("github.io", ["name github.io"]),  # a site of somebody's: the registry part of the suffixes only
        ("192.0.2.1", ["range 4 3221225985 3221225985"]),
        ("0xc0.0.0x2.01", ["range 4 3221225985 3221225985"]),
        ("0.0.0.0 a.example", ["name a.example"]),
        ("127.0.0.1\ta.example b.example # two", ["name a.example", "name b.example"]),
        (":: a.example", ["name a.example"]),
        ("fe80::1%lo0 a.example", ["name a.example"]),
        ("# comment", []),
        ("! comment", []),
        ("; comment", []),
        ("", []),
    ],
)
def test_a_line_names_domains(line: str, expected: list[str]) -> None:
    assert taken("domains", line) == expected
    assert ignored("domains", line) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("com", NO_DOT),
        ("127.0.0.1 localhost", NO_DOT),
        ("co.uk", PUBLIC),
        ("*.CO.UK.", PUBLIC),
        ("0.0.0.0 com.br", PUBLIC),
        ("any.ck", PUBLIC),
        ("xn--55qx5d.cn", PUBLIC),
        ("0.0.0.0 0.0.0.0", "this machine's own address"),
        ("::1", "this machine's own address"),
        ("http://a.example/x", "a URL or a network where a domain is meant"),
        ("10.0.0.0/8", "a URL or a network where a domain is meant"),
        ("a.example b.example", "more than a name on the line"),
        ("a..example", "not a domain name"),
        ("404", "a number"),
        ("<p>", "not a domain name"),
        ("a" * 64 + ".example", "not a domain name"),
        ("a" * MAX_LINE + ".example", "longer than 8,192 bytes"),
        ("# " + "a" * MAX_LINE, "longer than 8,192 bytes"),
        ("a\0.example", "a NUL byte (is the file UTF-16?)"),
        ("a.example\x1b[2J", "not a domain name"),
    ],
)
def test_a_line_that_names_none_says_why(line: str, reason: str) -> None:
    assert taken("domains", line) == []
    assert ignored("domains", "ok.example\n" + line) == [(2, reason)]


def test_an_exception_to_a_wildcard_suffix_is_a_name() -> None:
    assert taken("domains", "www.ck") == ["name www.ck"]


@given(st.binary(max_size=80))
def test_every_line_with_content_is_accounted_for(data: bytes) -> None:
    try:
        told = {line for line, _, _ in read("domains", data)[1]}
    except Exception as error:  # noqa: BLE001
        assert type(error).__name__ == "NoListError"  # noqa: PT017
        return
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        text = raw.strip()
        if number not in told and text and text[:1] not in {b"#", b"!", b";"}:
            words = text.decode().split()
            assert len(words) <= 1 or "#" in text.decode()  # a lone address names nothing else
