"""Lists of URLs."""

from __future__ import annotations

import pytest

from tests.lists.reading import ignored, taken


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a.example/x", ["url a.example /x"]),
        ("HTTP://User@A.Example:8080/X/../y?q#f", ["url a.example /y q"]),
        ("//a.example/x", ["url a.example /x"]),
        ("a.example/%7euser", ["url a.example /~user"]),
        ("a.example/a%2520b", ["url a.example /a%2520b", "spelling a.example /a b"]),
        ("a.example/x;y", ["url a.example /x;y"]),
        ("a.example/x//y", ["url a.example /x//y", "spelling a.example /x/y"]),
        ("a.example/x%252f..%252f..", ["url a.example /x%252f..%252f.."]),
        ("a.example", ["url a.example /"]),
    ],
)
def test_urls(line: str, expected: list[str]) -> None:
    assert taken("urls", line) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.example/x y", "a URL has no blanks"),
        ("gopher://a.example/", "not a URL"),
        ("com/x", "a URL whose host has no dot"),
        ("http://a.example:99999/", "not a URL"),
    ],
)
def test_urls_say_why(line: str, reason: str) -> None:
    assert ignored("urls", line) == [(1, reason)]
