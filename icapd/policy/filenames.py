"""The names a download may be saved under, read as browsers and file systems read them.

Each name comes as a tuple of readings, plainest first: without parameters and what follows
a NUL, without the trailing dots and blanks and the streams ("a.exe::$DATA") that Windows
drops. Sources: RFC 6266; RFC 5987 (filename*); RFC 2231 §3 (filename*0); RFC 2047.
"""

from __future__ import annotations

import re
from email.errors import HeaderParseError
from email.header import decode_header
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icapd.http import Headers

_PARAMETER = re.compile(r'(?:^|;)\s*([^=;\s"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)
_MAX_DIGITS = 9  # of a piece's number; int() refuses thousands
_NAME = re.compile(r"filename(?:\*\d*\*?)?|name")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_EXTENDED = re.compile(r"([^']*)'[^']*'(.*)", re.DOTALL)
_WORD = re.compile(r"=\?[^?]+\?[BbQq]\?[^?]*\?=")
_INVISIBLE = dict.fromkeys([*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF])


def url_names(spellings: tuple[str, ...]) -> tuple[str, ...]:
    """Return the readings of the last segment of a path, given the path's spellings."""
    last = [path.rstrip("/").rpartition("/")[2] for path in spellings]
    return readings(unquote(name, errors="replace") if "%" in name else name for name in last)


def disposition_names(headers: Headers) -> list[tuple[str, ...]]:
    """Return the readings of every file name in Content-Disposition, and of Content-Type's `name`."""
    found = []
    for field in (b"content-disposition", b"content-type"):
        for value in headers.get_all(field):
            found += [readings(each) for each in _parameters(_text(value))]
    return [names for names in found if names]


def readings(names: Iterable[str]) -> tuple[str, ...]:
    """Return each name as it is, and as it is once the ignorable has been dropped; each once."""
    found: dict[str, None] = {}
    for name in names:
        base = name.strip("'\"").replace("\\", "/").rstrip("/ .").rpartition("/")[2]
        for text in (name, base, base.partition("\0")[0], base.partition(";")[0]):
            for one in (text, text.translate(_INVISIBLE)):
                found[_saved(one)] = None
    return tuple(name for name in found if name)


def _saved(name: str) -> str:
    """Return what Windows makes of a name: no stream, no trailing dots and blanks."""
    stripped = name.rstrip(". \t\r\n\0\xa0")
    stem, colon, _ = stripped.partition(":")
    return stem.rstrip(". ") if colon and len(stem) > 1 else stripped


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _parameters(value: str) -> list[list[str]]:
    """Return for each file name in a header value the ways to read it."""
    names: list[list[str]] = []
    pieces: dict[int, str] = {}
    for match in _PARAMETER.finditer(value):
        name, raw = match[1].lower(), match[2].strip()
        if not _NAME.fullmatch(name):
            continue
        if raw.startswith('"'):  # a backslash may escape, or be part of a Windows path
            inner = raw[1:].removesuffix('"')
            ways = [_QUOTED_PAIR.sub(r"\1", inner), inner]
        else:
            ways = [raw]
        number = name.rstrip("*").rpartition("*")[2]
        if number.isdigit() and len(number) <= _MAX_DIGITS:
            pieces[int(number)] = _decoded(ways[0])[-1]
        else:
            names.append([reading for way in ways for reading in _decoded(way)])
    if pieces:
        names.append(["".join(pieces[at] for at in sorted(pieces))])
    return names


def _decoded(text: str) -> list[str]:
    """Return `text`, and what it is as an extended value, as an encoded word and percent-decoded."""
    found = [text]
    extended = _EXTENDED.fullmatch(text)
    if extended is not None:
        found.append(_charset(unquote_to_bytes(extended[2]), extended[1]))
    if "%" in text:
        found.append(unquote(extended[2] if extended else text, errors="replace"))
    if _WORD.search(text):
        try:
            parts = decode_header(text)
        except (HeaderParseError, ValueError):
            parts = []
        found.append("".join(_charset(p, c or "latin-1") if isinstance(p, bytes) else p for p, c in parts))
    return found


def _charset(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):
        return data.decode("latin-1")
