"""Whether content is what it was declared and named to be, where a lie could do harm.

A lie is told of an executable, a script, a page or an archive that passes as something harmless. What
servers often get wrong without harm (a JPEG that is a WebP, a page as text, a script as text/plain, a
document as application/zip, anything as octet-stream) is none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from icapd.policy.filetypes import TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable

# Programs: whatever is declared but themselves, or nothing in particular, is a lie.
_PROGRAMS = ("exe", "elf", "macho", "lnk", "chm", "class", "dex", "apk", "vbe", "msi")
# Read as text everywhere, and by nobody as a picture or a document.
_TEXTUAL = ("html", "hta", "script", "bat", "powershell", "wsf", "php", "reg", "url")
_CONTAINERS = (
    "jar",
    "rar",
    "7z",
    "cab",
    "iso",
    "crx",
    "swf",
    "ole",
    "rtf",
    "zip",
    "gzip",
    "xz",
    "bzip2",
    "pdf",
)
_CONTAINERS_OK = {
    # What else each may be called, beyond its own media types and those of its kind.
    "ole": re.compile(r"application/(?:vnd\.|ms|x-ms|x-ole|x-tika|cdfv2|onenote)|image/vnd\."),
    "rtf": re.compile(r"application/(?:ms-?word|vnd\.ms-|rtf|x-rtf)|text/"),
    "pdf": re.compile(r"application/(?:x-)?(?:pdf|illustrator|vnd\.)|application/postscript"),
    "swf": re.compile(r"application/"),
    "gzip": re.compile(r"application/(?!pdf)|text/|image/svg|font/|model/|audio/x-mod"),
}
_DULL = re.compile(  # types of things that only get looked at or listened to
    r"(?:image|audio|video|font)/|application/(?:x-)?(?:pdf|font-[\w-]+|ogg|mp4)\Z|application/vnd\.ms-fontobject\Z"
)
_DOCUMENT = re.compile(
    r"text/|model/|chemical/|message/|application/(?:postscript|wasm|epub\+zip|x-(?:shockwave-flash"
    r"|www-form-urlencoded))\Z"
    r"|application/(?:(?:x-)?(?:javascript|ecmascript)|json|xml|rtf|msword|xhtml\+xml|zip|gzip|x-tar"
    r"|vnd\.(?:ms-(?:excel|powerpoint|word)|openxmlformats|oasis\.opendocument|rar)[\w.+-]*|x-7z-compressed"
    r"|[\w.-]+\+(?:json|xml))\Z|text/"
)
# Read as leniently as readers do: quoted, with blanks, whatever follows
_TYPE = re.compile(r"[\s\"']*([\w.+!#$&^-]+)\s*/\s*([\w.+!#$&^-]+)")
_RUNS = re.compile(
    r"application/(?:(?:x-)?(?:msdownload|dosexec|msdos-program|executable|elf|sharedlib|mach-binary|msi|bat|sh|exe"
    r"|winexe|ms-dos-executable|ms-shortcut|ms-lnk|powershell|wsf)|hta|vnd\.microsoft\.portable-executable|java-archive"
    r"|vnd\.android\.package-archive)\Z"
)
_DULL_NAMES = re.compile(
    r"\.(?:txt|csv|log|md|pdf|docx?|xlsx?|pptx?|od[tsp]|rtf|png|jpe?g|gif|bmp|webp|tiff?|svg|ico|avif|heic|mp3|wav|ogg"
    r"|flac|mp4|m4[av]|mov|avi|mkv|webm|woff2?|ttf|otf|epub|zip|rar|7z)\Z",
    re.IGNORECASE,
)
_PICTURES = re.compile(
    r"\.(?:png|jpe?g|gif|bmp|webp|tiff?|ico|avif|heic|mp3|wav|flac|mp4|mov|avi|woff2?|ttf|pdf)\Z",
    re.IGNORECASE,
)
_PROGRAM_NAMES = re.compile(
    r"\.(?:exe|scr|com|pif|cpl|dll|msi|lnk|bat|cmd|vb[se]|jse?|ws[fh]|hta|ps1|jar|apk|chm)\Z", re.IGNORECASE
)
# "invoice.pdf.exe", also with the blanks that push the end out of sight
_DOUBLE = re.compile(
    r"\.(?:txt|csv|pdf|docx?|xlsx?|pptx?|rtf|png|jpe?g|gif|bmp|mp3|mp4|avi|mov|zip)[\s_.]*"
    r"\.(?:exe|scr|com|pif|cpl|msi|lnk|bat|cmd|vb[se]|jse|ws[fh]|hta|ps1)\Z",
    re.IGNORECASE,
)
_TURNED = re.compile("[\u202a-\u202e\u2066-\u2069]")  # writes the rest of a name from right to left


def mismatch(
    types: tuple[str, ...], declared_media: Iterable[str], names: Iterable[str], *, is_error: bool = False
) -> str | None:
    """Return "type:" and the media type that content is of, if it was passed off as something else.

    `types` are names of icapd.policy.filetypes, as the content shows them; `declared_media` every media
    type declared, with or without parameters; `names` every file name, in every reading. `is_error`: it
    came instead of what was asked for, and a page that says so may keep the other's type. None: no lie.
    """
    declared = [one for one in map(_media, declared_media) if one]
    known = [name for name in names if name]
    for kind in _PROGRAMS:
        if kind in types and _hides_program(kind, types, declared, known):
            return _named(kind)
    for kind in _TEXTUAL:
        if is_error and kind == "html":
            continue
        if kind in types and _hides_text(types, declared, known):
            return _named(kind)
    for kind in _CONTAINERS:
        if kind in types and _hides_container(kind, types, declared):
            return _named(kind)
    return _two_faced(declared)


def _named(kind: str) -> str:
    return f"type:{TYPES[kind].called}"


def _media(value: str) -> str:
    """Return type/subtype in lower case, also out of what is not well formed; "" for what is none."""
    match = _TYPE.match(value)
    return "" if match is None else f"{match[1]}/{match[2]}".lower()


def _own(types: tuple[str, ...]) -> frozenset[str]:
    return frozenset().union(*(TYPES[name].media for name in types if name in TYPES))


def _hides_program(kind: str, types: tuple[str, ...], declared: list[str], names: list[str]) -> bool:
    own = _own(types)
    harmless = [one for one in declared if one not in own and (_DULL.match(one) or _DOCUMENT.match(one))]
    if kind == "vbe":  # a script, and scripts are served as text
        harmless = [one for one in harmless if not one.startswith("text/")]
    if harmless or any(_DOUBLE.search(name) or _TURNED.search(name) for name in names):
        return True
    return any(_DULL_NAMES.search(name) for name in names) and kind != "apk"


def _hides_text(types: tuple[str, ...], declared: list[str], names: list[str]) -> bool:
    own = _own(types)
    if {"svg", "xml"} & set(types) and any("svg" in one or "xml" in one for one in declared):
        return False
    if any(one not in own and _DULL.match(one) for one in declared):
        return True
    return not declared and any(_PICTURES.search(name) for name in names)


def _hides_container(kind: str, types: tuple[str, ...], declared: list[str]) -> bool:
    own = _own(types)
    excused = _CONTAINERS_OK.get(kind)
    return any(
        one not in own and _DULL.match(one) and (excused is None or not excused.match(one))
        for one in declared
    )


def _two_faced(declared: list[str]) -> str | None:
    """Two declarations of which one is a program and one is not: who reads the other gets the program."""
    runs = [one for one in declared if _RUNS.match(one)]
    if runs and any(_DULL.match(one) or _DOCUMENT.match(one) for one in declared if one not in runs):
        return f"type:{runs[0]}"
    return None
