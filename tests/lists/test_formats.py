"""List files, line by line: what is a name, what is not, and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.lists.formats import read_domains


def names(text: str) -> list[str]:
    return [name for _, name, _ in read_domains(text.encode()) if name is not None]


def reasons(text: str) -> list[tuple[int, str]]:
    return [(line, reason) for line, name, reason in read_domains(text.encode()) if name is None]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a.example", ["a.example"]),
        ("A.Example.", ["a.example"]),
        ("  a.example\t\r", ["a.example"]),
        (".a.example", ["a.example"]),
        ("*.a.example", ["a.example"]),
        ("a_b.example", ["a_b.example"]),
        ("b\u00fccher.example", ["xn--bcher-kva.example"]),
        ("a.example # why", ["a.example"]),
        ("192.0.2.1", ["192.0.2.1"]),
        ("0xc0000201", ["192.0.2.1"]),
        ("2001:DB8::1", ["2001:db8::1"]),
        ("0.0.0.0 a.example", ["a.example"]),
        ("127.0.0.1\ta.example b.example # two", ["a.example", "b.example"]),
        (":: a.example", ["a.example"]),
        ("# comment", []),
        ("! comment", []),
        ("", []),
    ],
)
def test_a_line_names_domains(line: str, expected: list[str]) -> None:
    assert names(line) == expected
    assert reasons(line) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("com", "a name without a dot: it would cover a whole top-level domain"),
        ("127.0.0.1 localhost", "a name without a dot: it would cover a whole top-level domain"),
        ("0.0.0.0 0.0.0.0", "this machine's own address"),
        ("http://a.example/x", "a URL or a network where a domain is meant"),
        ("10.0.0.0/8", "a URL or a network where a domain is meant"),
        ("a.example b.example", "more than a name on the line"),
        ("a..example", "not a domain name"),
        ("<html>", "not a domain name"),
        ("||a.example^", "not a domain name"),
    ],
)
def test_a_line_that_names_none_says_why(line: str, reason: str) -> None:
    assert names(line) == []
    assert reasons("ok.example\n" + line) == [(2, reason)]


def test_bytes_that_are_no_utf8_are_told() -> None:
    assert list(read_domains(b"a.example\n\xff.example\n")) == [(1, "a.example", ""), (2, None, "not UTF-8")]


def test_a_byte_order_mark_hides_no_name() -> None:
    assert [name for _, name, _ in read_domains(b"\xef\xbb\xbfa.example")] == ["a.example"]


@given(st.binary(max_size=80))
def test_every_line_with_content_is_accounted_for(data: bytes) -> None:
    told = {line for line, _, _ in read_domains(data)}
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        text = raw.strip()
        if number not in told and text and text[:1] not in {b"#", b"!"}:
            words = text.decode().split()
            assert len(words) <= 1 or "#" in text.decode()  # a lone address names nothing else
