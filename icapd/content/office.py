"""Office Open XML: macros, DDE, what is fetched from elsewhere; in zips, their members, one XML file.

Nothing here parses XML, so nothing expands an entity: tags are looked for as text, in any prefix. Sources:
ECMA-376 parts 1 and 2, [MS-OFFMACRO2], [MS-OFFDI], [MS-OVBA] 2.3.
"""

from __future__ import annotations

import binascii
import html
import io
import re
import zipfile
import zlib
from typing import TYPE_CHECKING

from icapd.content.literal import Literal, Literals
from icapd.content.look import Look, found
from icapd.content.plaintext import plain
from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.content.budget import Budget

CONTENT_TYPES = "[content_types].xml"
_MAX_TYPES = 4 << 20  # bytes of [Content_Types].xml that are looked at
_TAG = re.compile(
    rb"<(?:[\w.-]{1,40}:)?(Override|Default|Relationship)\b((?:[^<>\"']+|\"[^\"<]*\"|'[^'<]*')*)",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(rb"""([\w:.-]{1,60})\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_MACRO_TYPE = re.compile(r"vbaproject\Z|macrosheet\+xml|intlmacrosheet|ms-excel\.macrosheet", re.IGNORECASE)
_ACTIVEX_TYPE = re.compile(r"ms-office\.activex(?:\+xml)?\Z", re.IGNORECASE)
_MACRO_LINK = re.compile(r"/(?:vbaProject|wordVbaData|xl(?:Intl)?Macrosheet)\Z", re.IGNORECASE)
_LOADED_LINK = re.compile(
    r"/(?:attachedTemplate|oleObject|frame|subDocument|aFChunk|control|mailMergeSource)\Z", re.IGNORECASE
)
_ELSEWHERE = re.compile(
    r"(?:https?|ftp|mhtml|ms-[a-z]+|script|search-ms):|\\\\|//|file:(?:/{0,5}\\\\|//[^/\\:]+[/\\]|/{4})",
    re.IGNORECASE,
)
_LINKS = re.compile(rb"<(?:[\w.-]{1,40}:)?Relationships\b", re.IGNORECASE)
_MACRO_SHEET = re.compile(
    rb"\A[^<]{0,64}(?:<[?!][^>]{0,2000}>\s*){0,9}<(?:[\w.-]{1,40}:)?macrosheet[\s>]", re.IGNORECASE
)
_INSTRUCTION = re.compile(rb"<(?:[\w.-]{1,40}:)?instrText\b[^<>]{0,400}>([^<]{0,4000})")
_SIMPLE = re.compile(rb"""\binstr\s*=\s*["']\s*([^"'<]{0,400})""")
_DDE_LINK = re.compile(rb"<(?:[\w.-]{1,40}:)?ddeLink\b")
_CELL_DDE = re.compile(rb"""<(?:[\w.-]{1,40}:)?f\b[^<>]{0,200}>[^<]{0,200}?\|\s*(?:'|&apos;)[^<]{0,2000}!""")
_CALL = re.compile(rb"\|\s*(?:'|&apos;)")  # its rarest part
_CALLER = re.compile(rb"[<:]f\b")  # how the tag before that ends at least
_BEFORE, _AFTER = 450, 2001  # bytes of it before and after that
_MAX_CALLS = 1000  # looked at one by one
_FEW_CALLS = 32
_LINK_NAME = Literal(b"ddeLink")
_INSTR = Literal(b"instr")
_EMBEDS = Literals(b"inaryData", b"binData", b"docOleData")
_BINARY = re.compile(
    rb"<(?:[\w.-]{1,40}:)?(?:binaryData|binData|docOleData)\b[^<>]{0,400}>([A-Za-z0-9+/=\s]{8,})<"
)
_MAIN_TYPES = (
    ("wordprocessingml.document.main", "docx"),
    ("word.document.macroenabled", "docm"),
    ("word.template.macroenabledtemplate", "docm"),
    ("spreadsheetml.sheet.main", "xlsx"),
    ("excel.sheet.macroenabled", "xlsm"),
    ("excel.template.macroenabled", "xlsm"),
    ("excel.addin.macroenabled", "xlsm"),
    ("presentationml.presentation.main", "pptx"),
    ("powerpoint.presentation.macroenabled", "pptm"),
    ("powerpoint.slideshow.macroenabled", "pptm"),
    ("powerpoint.template.macroenabled", "pptm"),
    ("powerpoint.addin.macroenabled", "pptm"),
)


def look_package(data: bytes, members: tuple[str, ...]) -> Look:
    """Tell what a zip's [Content_Types].xml says of its parts, if it is a package.

    `members` are the names that came out of it. The parts themselves are looked at one by one.
    """
    text = _content_types(data)
    if not text:
        return Look()
    names = {name.lower().replace("\\", "/").lstrip("/") for name in members}
    looked: dict[Finding, None] = {}
    types: dict[str, None] = {}
    for tag, attributes in _tags(text):
        content_type = attributes.get("contenttype", "").strip()
        if tag == "override":
            there = attributes.get("partname", "").lower().replace("\\", "/").lstrip("/") in names
        else:
            end = "." + attributes.get("extension", "").lower()
            there = end != "." and any(name.endswith(end) for name in names)
        if there and _MACRO_TYPE.search(content_type):
            looked[found(Kind.MACRO, "XLM" if "sheet" in content_type.lower() else "VBA")] = None
        elif there and _ACTIVEX_TYPE.search(content_type):
            looked[found(Kind.ACTIVE_CONTENT, "ActiveX")] = None
        elif tag == "override":
            types.update((name, None) for part, name in _MAIN_TYPES if part in content_type.lower())
    return Look(tuple(looked), types=tuple(types))


def look_xml(data: bytes, budget: Budget) -> Look:
    """Look at XML: a part of a package, or a whole document in one file (Flat OPC, Word 2003)."""
    looked: dict[Finding, None] = {}
    if _MACRO_SHEET.search(data) is not None:
        looked[found(Kind.MACRO, "XLM")] = None
    if b"pkg:package" in data[:4096] or (
        b"relationships" in data[:65536].lower() and _LINKS.search(data[:65536]) is not None
    ):
        for kind, threat in _links(data, budget):
            looked[found(kind, threat)] = None
    if _INSTR.is_in(data) and _has_dde_field(data, budget):
        looked[found(Kind.ACTIVE_CONTENT, "DDE")] = None
    if (_LINK_NAME.is_in(data) and _DDE_LINK.search(data) is not None) or _has_dde_cell(data, budget):
        looked[found(Kind.ACTIVE_CONTENT, "DDE")] = None
    return Look(tuple(looked), _binaries(data, budget) if _EMBEDS.any_in(data) else ())


def active_mime(data: bytes, budget: Budget) -> Iterator[tuple[str, bytes]]:
    """Yield the OLE file in an ActiveMime wrapper (editdata.mso), where VBA of Word's XML stands."""
    for at in (0x32, 0x22A):
        if data[at : at + 1] == b"\x78":
            try:
                yield "editdata.ole", zlib.decompressobj().decompress(data[at:], budget.room + 1)
            except zlib.error:
                continue
            return


def _content_types(data: bytes) -> bytes:
    """Return [Content_Types].xml of a zip, b"" if there is none to be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            texts: list[bytes] = []
            for info in package.infolist():
                if info.filename.lower().replace("\\", "/").lstrip("/") == CONTENT_TYPES and len(texts) < 4:  # noqa: PLR2004
                    with package.open(info) as file:
                        texts.append(file.read(_MAX_TYPES))
    except Exception:  # noqa: BLE001  (a broken or locked zip: whoever unpacks it says so)
        return b""
    return plain(b"".join(texts))


def _tags(text: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    for match in _TAG.finditer(text):
        yield (
            match[1].decode().lower(),
            {
                name.decode().lower(): html.unescape((double or single).decode("utf-8", "replace"))
                for name, double, single in _ATTRIBUTE.findall(match[2])
            },
        )


def _links(data: bytes, budget: Budget) -> Iterator[tuple[Kind, str]]:
    """Yield what relationships tell: macros, and what is fetched from elsewhere when the document opens."""
    for tag, attributes in _tags(data):
        budget.clock()
        kind = attributes.get("type", "").strip()
        if tag != "relationship":
            continue
        if _MACRO_LINK.search(kind):
            yield Kind.MACRO, "XLM" if "sheet" in kind.lower() else "VBA"
        external = attributes.get("targetmode", "").lower() == "external"
        loaded = _LOADED_LINK.search(kind)
        if external and loaded and _ELSEWHERE.match(attributes.get("target", "").strip()):
            yield Kind.ACTIVE_CONTENT, f"External.{loaded[0].strip('/')}"


def _has_dde_field(data: bytes, budget: Budget) -> bool:
    """Tell whether a field's instruction is DDE, also where it is strewn over several runs."""
    budget.clock()
    text = b"".join(_INSTRUCTION.findall(data)).decode("utf-8", "replace")
    if re.search(r"\bDDE(?:AUTO)?\s+\S", html.unescape(text), re.IGNORECASE):
        return True
    return any(
        re.match(r"\s*DDE(?:AUTO)?\b", html.unescape(one.decode("utf-8", "replace")), re.IGNORECASE)
        for one in _SIMPLE.findall(data)
    )


def is_without_calls(text: bytes) -> bool:
    """Tell that no cell's formula calls another program, as far as that is quickly seen; False in doubt."""
    places = [match.start() for match, _ in zip(_CALL.finditer(text), range(_FEW_CALLS), strict=False)]
    return len(places) < _FEW_CALLS and not any(
        _CALLER.search(text, max(0, at - _BEFORE), at) for at in places
    )


def _has_dde_cell(data: bytes, budget: Budget) -> bool:
    """Tell whether a cell's formula calls another program: looked for from the call backwards."""
    for number, match in enumerate(_CALL.finditer(data)):
        budget.clock()
        if number >= _MAX_CALLS:
            return _CELL_DDE.search(data) is not None
        if _CELL_DDE.search(data, max(0, match.start() - _BEFORE), match.end() + _AFTER) is not None:
            return True
    return False


def _binaries(data: bytes, budget: Budget) -> Iterator[tuple[str, bytes]]:
    for number, match in enumerate(_BINARY.finditer(data)):
        budget.clock()
        try:
            yield f"binary{number}", binascii.a2b_base64(match[1])
        except binascii.Error:
            continue
