"""Adblock filters: whole domains, and why not the others."""

from __future__ import annotations

import pytest

from tests.lists.reading import ignored, taken

HINT = "a filter, or an exception, of more or less than a domain"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("||a.example^", ["name a.example"]),
        ("||A.Example^|", ["name a.example"]),
        ("||a.example", ["name a.example"]),
        ("||*.a.example^", ["name a.example"]),
        ("||a.example^$important", ["name a.example"]),
        ("||a.example^$all,document", ["name a.example"]),
        ("@@||a.example^", ["except a.example"]),
        ("||a.example/x/y", ["url a.example /x/y"]),
        ("0.0.0.0 a.example", ["name a.example"]),
        ("a.example", ["name a.example"]),
        ("||192.0.2.1^", ["range 4 3221225985 3221225985"]),
        ("! comment", []),
        ("# comment", []),
    ],
)
def test_adblock(line: str, expected: list[str]) -> None:
    text = "[Adblock Plus 2.0]\n" + line
    assert taken("files", text) == expected
    assert ignored("files", text) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("||a.example^$third-party", "the option $third-party needs a page or a kind of content"),
        ("||a.example^$~script,important", "the option $script needs a page or a kind of content"),
        ("||a.example^$domain=b.example", "the option $domain needs a page or a kind of content"),
        ("@@||a.example^$document,domain=b", "the option $domain needs a page or a kind of content"),
        ("a.example##.ad", "hides elements of a page"),
        ("##.ad", "hides elements of a page"),
        ("a.example#@#.ad", "hides elements of a page"),
        ("/banner/*/img", HINT),
        ("|https://a.example/", HINT),
        ("@@/x", HINT),
        ("||a*.example^", HINT),
        ("||com^", "a name without a dot: it would cover a whole top-level domain"),
        ("||co.uk^", "a public suffix: it would cover everybody's names below it"),
        ("@@||co.uk^", "a public suffix: it would cover everybody's names below it"),
    ],
)
def test_adblock_says_why(line: str, reason: str) -> None:
    assert ignored("files", "[Adblock Plus 2.0]\n" + line) == [(2, reason)]
