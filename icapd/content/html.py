"""HTML, SVG and HTA: files carried inside, files put together by scripts, scripts where none is expected.

Markup is not parsed: browsers mend what they read, and a regex that looks for less than a tag sees more of
it. Sources: WHATWG HTML; SVG 2 §15; RFC 2397 (data: URLs); MITRE ATT&CK T1027.006 (HTML smuggling).
"""

from __future__ import annotations

import binascii
import html
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from icapd.content.literal import Literal, Literals
from icapd.content.look import Look, found
from icapd.policy.filetypes import sniff
from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.content.budget import Budget

_DATA_URL = re.compile(
    rb"""data:([\w.+-]{0,80}/?[\w.+-]{0,80})((?:;[\w.=+-]{1,80}){0,6}),([^"'<>\s)]{8,})""", re.IGNORECASE
)
_LITERAL = re.compile(rb"""["'`]([A-Za-z0-9+/_-]{64,}={0,2})["'`]""")
_MAKES_FILE = re.compile(
    rb"createObjectURL|msSave(?:OrOpen)?Blob|showSaveFilePicker|\bnew\s+File\s*\(", re.IGNORECASE
)
# Words without which the patterns find nothing, in small letters
_MAKERS = Literals(b"createobjecturl", b"mssave", b"file")
_HTAS, _VBSCRIPTS, _DATA_URLS = Literal(b"hta:application"), Literal(b"vbscript"), Literal(b"data:")
_ATOB = Literal(b"atob")
_COMMENT = Literal(b"<!--")
_DECODES = re.compile(
    rb"\batob\b|\bUint8Array\b|\bcharCodeAt\b|fromCharCode|\bfromBase64\b|base64", re.IGNORECASE
)
_GIVES_FILE = re.compile(
    rb"\.download\b|[\"']download[\"']|\bdownload\s*=|\.click\s*\(|msSave|location", re.IGNORECASE
)
_NUMBERS = re.compile(rb"(?:\b(?:0x[0-9a-f]{1,2}|\d{1,3})\s*,\s*){256}", re.IGNORECASE)
_LONG = 2048  # base64 characters of a literal that is a file, whatever it is made of
_HTA = re.compile(rb"<\s*hta:application\b", re.IGNORECASE)
_VBSCRIPT = re.compile(rb"\bvbscript\b", re.IGNORECASE)
_IN_TAG = re.compile(rb"<script\b[^>]*\Z|\bhref\s{0,20}=\s{0,20}[\"']?\s{0,20}\Z", re.IGNORECASE)
_BEFORE = 400  # bytes before the word in which its tag begins
_SVG_ROOT = re.compile(rb"<(?:[\w.-]{1,40}:)?svg[\s>/]", re.IGNORECASE)
_ROOT_WITHIN = 65536
_PAGE = re.compile(rb"<(?:html|!doctype\s+html|body|head)\b", re.IGNORECASE)
_SVG_SCRIPT = re.compile(rb"<(?:[\w.-]{1,40}:)?(?:script|handler)\b", re.IGNORECASE)
_HANDLED = re.compile(
    rb"""<[a-z](?:[^<>"']|"[^"<]*"|'[^'<]*'){0,4000}?[\s"'/]on[a-z]{3,30}\s*=""", re.IGNORECASE
)
_RUN_LINK = re.compile(rb"""(?:href|src|to|values|from)\s*=\s*["']?([^"'>]{6,400})""", re.IGNORECASE)
_RUN = re.compile(r"(?:javascript|vbscript|data:(?:text/html|image/svg))", re.IGNORECASE)
# Types that are shown, not run: a page has hundreds of them
_DULL = frozenset(
    [
        "png",
        "jpeg",
        "gif",
        "bmp",
        "webp",
        "ico",
        "avif",
        "woff",
        "ttf",
        "otf",
        "eot",
        "mp3",
        "ogg",
        "wav",
        "mp4",
        "webm",
    ]
)
_MAX_PARTS = 256


def look_markup(data: bytes, budget: Budget) -> Look:
    """Look at a page, a picture in SVG or an HTA. Parts are the files that it carries."""
    looked: dict[Finding, None] = {}
    text = _without(data, b"<!--", b"-->") if _COMMENT.is_in(data) else data
    low = text.lower()  # a word is looked for in it first: a search that ignores case costs 10 ms a megabyte
    if _HTAS.is_in(low) and _HTA.search(text) is not None:
        looked[found(Kind.ACTIVE_CONTENT, "HTA")] = None
    if _VBSCRIPTS.is_in(low) and _has_vbscript(text, budget):
        looked[found(Kind.ACTIVE_CONTENT, "VBScript")] = None
    if b"svg" in low[:_ROOT_WITHIN] and _is_svg(text) and _runs(text, budget):
        looked[found(Kind.ACTIVE_CONTENT, "SVG.Script")] = None
    makes = _MAKERS.any_in(low) and _MAKES_FILE.search(text) is not None and _DECODES.search(text) is not None
    literals = _literals(text, budget) if makes or _ATOB.is_in(text) else []
    if makes and _GIVES_FILE.search(text) is not None and _is_smuggled(text, literals):
        looked[found(Kind.ACTIVE_CONTENT, "HTML.Smuggling")] = None
    links = _DATA_URL.finditer(text) if _DATA_URLS.is_in(low) else iter(())
    return Look(tuple(looked), _parts(links, literals, budget))


def _has_vbscript(text: bytes, budget: Budget) -> bool:
    """Tell whether a tag or a link says that it is VBScript: looked for from the word backwards."""
    for match in _VBSCRIPT.finditer(text):
        budget.clock()
        at = match.start()
        if _IN_TAG.search(text[max(0, at - _BEFORE) : at]) is not None:
            return True
    return False


def _without(text: bytes, start: bytes, end: bytes) -> bytes:
    """Return text without what stands between `start` and `end`; what never ends stays."""
    kept = []
    at = 0
    while (begins := text.find(start, at)) >= 0 and (ends := text.find(end, begins + len(start))) >= 0:
        kept.append(text[at:begins])
        at = ends + len(end)
    return b"".join((*kept, text[at:])) if kept else text


def _is_svg(text: bytes) -> bool:
    root = _SVG_ROOT.search(text[:_ROOT_WITHIN])
    return root is not None and _PAGE.search(text[: root.start()]) is None


def _runs(text: bytes, budget: Budget) -> bool:
    """Tell whether a picture runs something: scripts, handlers, links that are scripts."""
    text = _without(text, b"<![CDATA[", b"]]>")
    if _SVG_SCRIPT.search(text) is not None:
        return True
    budget.clock()
    if _HANDLED.search(text) is not None:
        return True
    budget.clock()
    return any(
        _RUN.match(re.sub(r"[\x00-\x20]", "", html.unescape(value.decode("utf-8", "replace")))) is not None
        for value in _RUN_LINK.findall(text)
    )


def _literals(text: bytes, budget: Budget) -> list[bytes]:
    """Return the strings of a script that may be base64, longest first."""
    literals = _LITERAL.findall(text)
    budget.clock()
    return sorted(literals, key=len, reverse=True)[:_MAX_PARTS]


def _is_smuggled(text: bytes, literals: list[bytes]) -> bool:
    """Tell whether a script that makes a file has one at hand."""
    if any(len(one) >= _LONG for one in literals) or _NUMBERS.search(text) is not None:
        return True
    return any(set(sniff(unbase64(one[:6000]))) - _DULL for one in literals)


def _parts(
    links: Iterator[re.Match[bytes]], literals: list[bytes], budget: Budget
) -> Iterator[tuple[str, bytes]]:
    count = 0
    for match in links:
        budget.clock()
        content = _content(match)
        if not content or set(sniff(content[:64])) & _DULL:
            continue
        count += 1
        if count > _MAX_PARTS:
            break
        yield f"data{count}", content
    for number, literal in enumerate(literals):
        budget.clock()
        content = unbase64(literal)
        if content and not set(sniff(content[:64])) & _DULL:
            yield f"string{number}", content


def _content(match: re.Match[bytes]) -> bytes:
    """Return the content of a data: URL; b"" for one that is read as text or a style."""
    media, parameters, text = match[1].lower(), match[2].lower(), match[3]
    if b"base64" in parameters:
        return unbase64(unquote_to_bytes(text) if b"%" in text else text)
    if not media or media.startswith((b"text/css", b"text/plain")):
        return b""
    return unquote_to_bytes(text)


def unbase64(text: bytes) -> bytes:
    """Return what base64 of either alphabet stands for, as much of it as is well formed."""
    text = text.translate(_ALPHABET, b" \t\r\n=\\")
    text = text[: len(text) // 4 * 4 + (len(text) % 4 if len(text) % 4 > 1 else 0)]
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return b""


_ALPHABET = bytes.maketrans(b"-_", b"+/")
