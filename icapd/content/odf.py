"""OpenDocument: Basic and other scripts, what calls them, encryption. Source: OASIS ODF 1.3 parts 2 and 3."""

from __future__ import annotations

import re

from icapd.content.look import Look, found
from icapd.verdicts import Finding, Kind

_MIME = re.compile(rb"PK\x03\x04.{26}mimetypeapplication/vnd\.(?:oasis\.opendocument|sun\.xml)", re.DOTALL)
_LIBRARY = re.compile(r"(?:\A|/)(?:Basic|Dialogs)/(?:.+/)?(?:script|dialog)-l[bc]\.xml\Z", re.IGNORECASE)
_SCRIPT = re.compile(r"(?:\A|/)(?:Basic/.+\.x(?:ml|ba)|Scripts/.+\.[a-z]{2,4})\Z", re.IGNORECASE)
_MARKS = frozenset(["mimetype", "META-INF/manifest.xml", "content.xml"])
_PREFIX = rb"<(?:[\w.-]{1,40}:)?"
# A tag ends where the next begins: so that a pattern reads no byte twice
_ATTRIBUTES = rb"((?:[^<>\"']+|\"[^\"<]*\"|'[^'<]*')*)"
_MODULE = re.compile(_PREFIX + rb"module\b" + _ATTRIBUTES + rb">([^<]*)", re.IGNORECASE)
_FLAT = re.compile(_PREFIX + rb"source-code\b" + _ATTRIBUTES + rb">([^<]*)", re.IGNORECASE)
_LISTENER = re.compile(_PREFIX + rb"event-listener\b" + _ATTRIBUTES, re.IGNORECASE)
_CALLS = re.compile(rb"vnd\.sun\.star\.script:|macro-name\s*=\s*[\"'][^\"']", re.IGNORECASE)
_ENCRYPTED = re.compile(_PREFIX + rb"encryption-data\b", re.IGNORECASE)
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
    if b"module" in data or b"source-code" in data:
        modules = (code for attributes, code in _MODULE.findall(data) if b'/script"' in attributes.lower())
        flat = (code for _, code in _FLAT.findall(data))
        if any(_has_code(code) for code in (*modules, *flat)):
            looked[found(Kind.MACRO, "ODF")] = None
    if b"event-listener" in data and any(_CALLS.search(one) for one in _LISTENER.findall(data)):
        looked[found(Kind.MACRO, "ODF.Event")] = None
    if b"encryption-data" in data and b"opendocument:xmlns:manifest" in data and _ENCRYPTED.search(data):
        looked[found(Kind.ENCRYPTED, "ODF")] = None
    return Look(tuple(looked))


def _has_code(text: bytes) -> bool:
    """Tell whether Basic is more than blanks, remarks and options."""
    match = _CODE.match(text.replace(b"&apos;", b"'"))
    return match is not None and match[1] is not None
