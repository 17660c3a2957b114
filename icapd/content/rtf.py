"""RTF: embedded objects, out of all disguises that readers see through. Source: RTF 1.9.1; [MS-OLEDS] 2.2."""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

from icapd.content.budget import LimitReached
from icapd.content.look import Look, found
from icapd.content.ole import native
from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.content.budget import Budget

_WORD = rb"(?<!\\)(?:\\\\)*\\"
_DATA = re.compile(_WORD + rb"objdata(?![a-zA-Z])")
_UPDATE = re.compile(_WORD + rb"(?:objupdate|objautlink)(?![a-zA-Z])")
_EQUATION = re.compile(rb"Equation\.[23]|0002CE02-0000", re.IGNORECASE)
_TEMPLATE = re.compile(_WORD + rb"template\b[^{}]{0,40}(?:https?:|ftp:|\\\\\\\\|//)", re.IGNORECASE)
_FIELD = re.compile(_WORD + rb"fldinst\b[^}]{0,200}?\bDDE(?:AUTO)?\b", re.IGNORECASE)
_TOKEN = re.compile(
    rb"\\bin(\d{1,9}) ?|\\'[0-9A-Fa-f]{2}|\\[a-zA-Z]{1,40}-?\d{0,10} ?|\\.|([{}])"
    rb"|([0-9A-Fa-f]+)|[^\\{}0-9A-Fa-f]+|\\",
    re.DOTALL,
)
_FILE = re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1|PK\x03\x04|MZ.{60}|%PDF-|Rar!\x1a\x07", re.DOTALL)
_CLOCK_EVERY = 4096  # tokens between two looks at the clock
_MAX_OBJECTS = 500
_MAX_CLASS = 255
_MOST_READ = 8  # times a document is read for its objects


def look_rtf(data: bytes, budget: Budget) -> Look:
    """Look inside RTF. Parts are the files in its objects."""
    looked: dict[Finding, None] = {}
    starts = [match.end() for match, _ in zip(_DATA.finditer(data), range(_MAX_OBJECTS), strict=False)]
    objects: list[bytes] = []
    read = 0
    for start in starts:
        end, binaries = _binaries(data, start, budget)
        objects += binaries
        read += end - start
        if read > _MOST_READ * len(data):  # objects in objects in objects
            raise LimitReached("depth")
    if objects:
        looked[found(Kind.ACTIVE_CONTENT, "RTF.Object")] = None
    if _UPDATE.search(data) is not None:
        looked[found(Kind.ACTIVE_CONTENT, "RTF.Update")] = None
    if objects and any(_EQUATION.search(text) for text in (data, *objects)):
        looked[found(Kind.ACTIVE_CONTENT, "RTF.Equation")] = None
    if _TEMPLATE.search(data) is not None:
        looked[found(Kind.ACTIVE_CONTENT, "RTF.Template")] = None
    if _FIELD.search(data) is not None:
        looked[found(Kind.ACTIVE_CONTENT, "DDE")] = None
    return Look(tuple(looked), _parts(objects))


def _binaries(data: bytes, start: int, budget: Budget) -> tuple[int, list[bytes]]:
    """Return where an object ends, and what its digits may be: without nested groups, and with them."""
    outer: list[bytes] = []
    every: list[bytes] = []
    depth = count = 0
    at = start
    while depth >= 0 and (match := _TOKEN.match(data, at)) is not None:
        at = match.end()
        count += 1
        if count % _CLOCK_EVERY == 0:
            budget.clock()
        if match[2]:
            depth += 1 if match[2] == b"{" else -1
            continue
        digits = match[3]
        if match[1]:
            digits = binascii.hexlify(data[at : at + int(match[1])])
            at = min(len(data), at + int(match[1]))
        if digits:
            every.append(digits)
            if depth == 0:
                outer.append(digits)
    found_digits = [b"".join(outer), b"".join(every)]
    if found_digits[0] == found_digits[1]:
        found_digits.pop()
    return at, [binascii.unhexlify(one[: len(one) // 2 * 2]) for one in found_digits if len(one) > 1]


def _parts(objects: list[bytes]) -> Iterator[tuple[str, bytes]]:
    for number, data in enumerate(objects):
        at = _content(data)
        if at:
            yield from native(data[at:])
        else:
            yield f"object{number}", data[8:]
        inner = _FILE.search(data)
        if inner is not None:
            yield f"object{number}.file", data[inner.start() :]


def _content(data: bytes) -> int:
    """Return where the content of an OLE 1 object begins, at its size; 0 if data is none."""
    at = 8
    for _ in range(3):  # class, topic and item
        length = int.from_bytes(data[at : at + 4], "little")
        if length > _MAX_CLASS:
            return 0
        at += 4 + length
    return at if at + 4 < len(data) else 0
