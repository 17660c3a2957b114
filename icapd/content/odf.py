"""OpenDocument: Basic and other scripts, what calls them, encryption. Source: OASIS ODF 1.3 parts 2 and 3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from icapd.content.literal import Literal, Literals
from icapd.content.look import Look, found
from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

_MIME = re.compile(rb"PK\x03\x04.{26}mimetypeapplication/vnd\.(?:oasis\.opendocument|sun\.xml)", re.DOTALL)
_LIBRARY = re.compile(r"(?:\A|/)(?:Basic|Dialogs)/(?:.+/)?(?:script|dialog)-l[bc]\.xml\Z", re.IGNORECASE)
_SCRIPT = re.compile(r"(?:\A|/)(?:Basic/.+\.x(?:ml|ba)|Scripts/.+\.[a-z]{2,4})\Z", re.IGNORECASE)
_MARKS = frozenset(["mimetype", "META-INF/manifest.xml", "content.xml"])
_PREFIX = rb"<(?:[\w.-]{1,40}:)?"
# A tag ends where the next begins: so that the pattern reads no byte twice
_TAG = re.compile(
    _PREFIX + rb"(module|source-code|event-listener)\b((?:[^<>\"']+|\"[^\"<]*\"|'[^'<]*')*)", re.IGNORECASE
)
_CALLS = re.compile(rb"vnd\.sun\.star\.script:|macro-name\s*=\s*[\"'][^\"']", re.IGNORECASE)
_ENCRYPTED = re.compile(_PREFIX + rb"encryption-data\b", re.IGNORECASE)
_WORDS = Literals(b"module", b"source-code", b"event-listener")  # one is in whatever _TAG finds
_SEALS = Literal(b"encryption-data")
_CODE = re.compile(rb"(?:\s+|(?:REM\b|')[^\r\n]*|(?:Option[ \t][^\r\n]*))*(\S)?", re.IGNORECASE)


def look_package(data: bytes, members: tuple[str, ...]) -> Look:
    """Tell what an OpenDocument's members are by their names; nothing of a zip that is none."""
    if _MIME.match(data) is None and not _MARKS & set(members):
        return Look()
    scripts = [name for name in members if _SCRIPT.search(name) and not _LIBRARY.search(name)]
    return Look((found(Kind.MACRO, "ODF"),) if scripts else ())


def look_xml(data: bytes) -> Look:
    """Look at XML: a member of an OpenDocument, or a whole one in one file."""
    looked: dict[Finding, None] = {}
    if _WORDS.any_in(data):
        looked |= dict.fromkeys(_scripts(data))
    if _SEALS.is_in(data) and b"opendocument:xmlns:manifest" in data and _ENCRYPTED.search(data):
        looked[found(Kind.ENCRYPTED, "ODF")] = None
    return Look(tuple(looked))


def _scripts(data: bytes) -> Iterator[Finding]:
    """Yield what elements with code in them, or that call some, are."""
    for match in _TAG.finditer(data):
        name, attributes, end = match[1].lower(), match[2].lower(), match.end()
        if name == b"event-listener":
            if _CALLS.search(attributes) is not None:
                yield found(Kind.MACRO, "ODF.Event")
        elif data[end : end + 1] == b">" and (name == b"source-code" or b'/script"' in attributes):
            after = data.find(b"<", end)
            if _has_code(data[end + 1 : len(data) if after < 0 else after]):
                yield found(Kind.MACRO, "ODF")


def _has_code(text: bytes) -> bool:
    """Tell whether Basic is more than blanks, remarks and options."""
    match = _CODE.match(text.replace(b"&apos;", b"'"))
    return match is not None and match[1] is not None
