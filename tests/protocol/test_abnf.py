"""The grammar: every pattern is linear, and none uses what Python 3.11.2 matches wrongly."""

import re
import time

import pytest

from icapd.protocol import abnf

PATTERNS = {name: value for name, value in vars(abnf).items() if isinstance(value, re.Pattern)}


@pytest.mark.parametrize("name", PATTERNS)
def test_no_group_is_possessive(name: str) -> None:
    """CPython issue 106052: `(?:;a)*+` matches ";" before Python 3.11.5."""
    assert not re.search(rb"\)(?:[*+?]|\{[^}]*\})\+", PATTERNS[name].pattern)


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize(
    "unit", [b"a", b" ", b"\t", b";", b";a", b';a="', b'\\"', b"a:", b"\r\n ", b"@", b"/", b"?", b"=", b"0"]
)
def test_patterns_are_linear(name: str, unit: bytes) -> None:
    pattern = PATTERNS[name]
    starts = (b"", b"5", b';a="', b"X:", b"OPTIONS icap://", b"icap://", b"ICAP/1.0 200 ", b"req-hdr=")
    started = time.process_time()
    for start in starts:
        pattern.fullmatch(start + unit * (60_000 // len(unit)) + b"\0")
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("line", "good"),
    [
        (b"A:", True),
        (b"A:b", True),
        (b"a-!#:\t\xff", True),
        (b"A", False),
        (b": b", False),
        (b"A : b", False),
        (b" A: b", False),
        (b"A: \0", False),
        (b"A: \r", False),
        (b"A: \n", False),
        (b"A\xe4: b", False),
    ],
)
def test_field(line: bytes, good: bool) -> None:
    assert (abnf.FIELD.fullmatch(line) is not None) is good


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        (b"icap://h/s", b"/s"),
        (b"ICAP://h:1344/s/t?mode=x", b"/s/t"),
        (b"icaps://[::1]:11344/s", b"/s"),
        (b"icap://user:pass@h/s", b"/s"),
        (b"icap://h?x", None),
        (b"icap://h", None),
    ],
)
def test_uri(uri: bytes, path: bytes | None) -> None:
    match = abnf.URI.fullmatch(uri)
    assert match
    assert match[2] == path


@pytest.mark.parametrize(
    "uri",
    [
        b"/s",
        b"*",
        b"icap:///s",
        b"icap:/h/s",
        b"http://h/s",
        b"icap://h/s#f",
        b"icap://a@b@c/s",
        b"icap://@/s",
    ],
)
def test_no_uri(uri: bytes) -> None:
    assert abnf.URI.fullmatch(uri) is None
