"""PDF: encryption, actions that run something, attachments.

Broken files are read like whole ones: objects are looked for where they stand, not where a table says. What
this reading does not undo (rare filters, attachments of a file that opens without a password) is pypdf's (the
extra `pdf`). Source: ISO 32000-1 7.3, 7.4, 7.5.7, 7.6, 7.11.4, 12.6.
"""

from __future__ import annotations

import base64
import binascii
import io
import logging
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from icapd.content.budget import LimitReached
from icapd.content.look import Look, found
from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.content.budget import Budget

_STREAM = re.compile(rb">>[\s\0]{0,200}(?:%[^\r\n]{0,200}[\s\0]+)?stream(?:\r\n|\n|\r)?")
_NUMBER = re.compile(rb"(\d{1,10})[\s\0]+\d{1,5}[\s\0]+obj\b")
_LENGTH = re.compile(rb"/Length[\s\0]+(\d{1,10})\b(?![\s\0]+\d+[\s\0]+R\b)")
_FILTER = re.compile(rb"/(?:Filter|F)[\s\0]*(\[[^\]]{0,400}\]|/[\w.+-]{1,40})")
_PREDICTOR = re.compile(rb"/Predictor[\s\0]+(?!1\b)\d")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_TOKEN = re.compile(rb"\\.|[()%\\]|[\r\n]+|[^()\\%\r\n]+", re.DOTALL)
_BORDER = re.compile(rb"\b(?:endobj|obj|trailer|startxref)\b")
_END = rb"(?=[\s\0()<>\[\]{}/%]|\Z)"
_LOCKED = re.compile(rb"/Encrypt[\s\0]*(?:\d{1,10}[\s\0]+\d{1,5}[\s\0]+R\b|<<)")
_ACTIONS = (
    ("JavaScript", re.compile(rb"/(?:JavaScript|JS)" + _END)),
    ("Launch", re.compile(rb"/Launch" + _END)),
    ("ImportData", re.compile(rb"/ImportData" + _END)),
    ("RichMedia", re.compile(rb"/RichMedia" + _END)),
)
_OPENED = re.compile(rb"(/OpenAction[\s\0]{0,200}<<)|/(?:URI|SubmitForm|GoToE|GoToR)" + _END)
_MAX_ACTION = 2000  # bytes of an action before its kind
_OBJECTS = re.compile(rb"/Type[\s\0]*/ObjStm" + _END)
_ATTACHED = re.compile(rb"/Type[\s\0]*/EmbeddedFile" + _END)
# What a file specification or an action refers to
_REFERRED = re.compile(rb"/EF[\s\0]*<<([^>]{0,400})|/(?:JS|XFA)([\s\0]+\d{1,10}[\s\0]+\d{1,5}[\s\0]+R)")
_REFERENCE = re.compile(rb"(\d{1,10})[\s\0]+\d{1,5}[\s\0]+R\b")
_MAX_HEAD = 8192  # bytes before `stream` in which its dictionary is looked for
_MAX_FILTERS = 8
_CLOCK_EVERY = 4096  # tokens between two looks at the clock
_MAX_SKELETON = 64 << 20
_MAX_ATTACHED = 256  # files of one document that a full reader unpacks


@dataclass(frozen=True, slots=True)
class _Stream:
    number: int
    head: bytes
    start: int
    end: int


def look_pdf(data: bytes, budget: Budget) -> Look:
    """Look inside a PDF. Parts are attachments and scripts kept in streams."""
    streams, text = _split(data, budget)
    locked = _LOCKED.search(_bare(text, budget)) is not None
    pieces = [text]
    for stream in streams:
        if _OBJECTS.search(stream.head) is not None and not locked:
            pieces.append(_decoded(data, stream, budget))
            budget.output(len(pieces[-1]))
    text = _bare(b"\n".join(pieces), budget)
    looked: dict[Finding, None] = {}
    if locked:
        looked[found(Kind.ENCRYPTED, "PDF")] = None
    for name, pattern in _ACTIONS:
        if pattern.search(text) is not None:
            looked[found(Kind.ACTIVE_CONTENT, f"PDF.{name}")] = None
    if _opens_elsewhere(text, budget):
        looked[found(Kind.ACTIVE_CONTENT, "PDF.OpenURI")] = None
    wanted = _referred(text)
    attached = [one for one in streams if one.number in wanted or _ATTACHED.search(one.head) is not None]
    if not attached and not locked:
        return Look(tuple(looked))
    strange = [one for one in attached if not _is_known(one)]
    if strange and not locked and not _has_reader():
        looked[found(Kind.UNSCANNABLE, "PDF: an attachment's filter needs icapd[pdf]")] = None
    return Look(tuple(looked), _parts(data, attached, budget, locked=locked, strange=bool(strange)))


def _opens_elsewhere(text: bytes, budget: Budget) -> bool:
    """Tell whether the action at opening, in its own dictionary, leads out of the document."""
    begins = -1
    for match in _OPENED.finditer(text):
        budget.clock()
        if match[1]:
            begins = match.end()
        elif begins >= 0 and match.start() - begins < _MAX_ACTION:
            if text.find(b">", begins, match.start()) < 0:
                return True
        else:
            begins = -1
    return False


def _split(data: bytes, budget: Budget) -> tuple[list[_Stream], bytes]:
    """Return the streams, and all that stands between them."""
    streams: list[_Stream] = []
    text: list[bytes] = []
    at = size = 0
    while (match := _STREAM.search(data, at)) is not None:
        budget.clock()
        before = data[max(at, match.start() - _MAX_HEAD) : match.start()]
        numbers = list(_NUMBER.finditer(before))
        head = _names(before[numbers[-1].end() :] if numbers else before)
        end = _end_of(data, match.end(), head)
        text.append(data[at : match.start() + 2])
        size += match.start() + 2 - at
        streams.append(_Stream(int(numbers[-1][1]) if numbers else -1, head, match.end(), end))
        at = end
        if size > _MAX_SKELETON:
            raise LimitReached("unpacked size")
    text.append(data[at:])
    return streams, b"\n".join(text)


def _end_of(data: bytes, start: int, head: bytes) -> int:
    """Return where a stream ends: at its Length if it says so truly, else at the next `endstream`."""
    length = _LENGTH.search(head)
    if length is not None:
        end = start + int(length[1])
        if data[end : end + 24].lstrip(b"\r\n \t\0").startswith(b"endstream"):
            return end
    end = data.find(b"endstream", start)
    return len(data) if end < 0 else end


def _names(text: bytes) -> bytes:
    """Return text with the escapes in names undone: /J#61vaScript."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), text) if b"#" in text else text


def _bare(text: bytes, budget: Budget) -> bytes:
    """Return text without strings and comments, where names are no names."""
    return _names(b"\n".join(_without_strings(one, budget) for one in _BORDER.split(text)))


def _without_strings(text: bytes, budget: Budget) -> bytes:
    """Return what stands between two borders without strings and comments; a string that never ends stays."""
    if b"(" not in text and b"%" not in text:
        return text
    kept: list[bytes] = []
    depth = begins = 0
    comment = False
    for count, token in enumerate(_TOKEN.finditer(text)):
        if count % _CLOCK_EVERY == 0:
            budget.clock()
        sign = token[0][:1]
        if comment:
            comment = sign not in b"\r\n"
        elif sign == b"(":
            begins = begins if depth else token.start()
            depth += 1
        elif depth:
            depth -= sign == b")"
        elif sign == b"%":
            comment = True
        else:
            kept.append(token[0])
    return b"".join(kept) + (text[begins:] if depth else b"")


def _referred(text: bytes) -> set[int]:
    return {
        int(number)
        for files, script in _REFERRED.findall(text)
        for number in _REFERENCE.findall(files or script)
    }


def _filters(stream: _Stream) -> list[bytes]:
    match = _FILTER.search(stream.head)
    return re.findall(rb"/([\w.+-]+)", match[1]) if match is not None else []


def _is_known(stream: _Stream) -> bool:
    return set(_filters(stream)) <= set(_UNDO) and _PREDICTOR.search(stream.head) is None


def _decoded(data: bytes, stream: _Stream, budget: Budget) -> bytes:
    """Return a stream with its filters undone as far as this can, b"" where it cannot at all."""
    content = data[stream.start : stream.end]
    for name in _filters(stream)[:_MAX_FILTERS]:
        undo = _UNDO.get(name)
        if undo is None:
            return b""
        content = undo(content, budget.room + 1)
        budget.clock()
    return content


def _inflate(data: bytes, room: int) -> bytes:
    out = []
    for bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        stream = zlib.decompressobj(bits)
        size = 0
        try:  # piece by piece: what stands before a fault is kept
            for at in range(0, len(data), 4096):
                out.append(stream.decompress(data[at : at + 4096], max(1, room - size)))
                size += len(out[-1])
                if size >= room or stream.eof:
                    break
        except zlib.error:
            pass
        if size:
            break
    return b"".join(out)


def _unhex(data: bytes, room: int) -> bytes:
    digits = re.sub(rb"[^0-9A-Fa-f]", b"", data.partition(b">")[0])[: room * 2]
    return binascii.unhexlify(digits + b"0" * (len(digits) % 2))


def _base85(data: bytes, room: int) -> bytes:
    text = data.strip().removeprefix(b"<~").partition(b"~")[0]
    text = re.sub(rb"[^!-uz]", b"", text)[: room + 5]
    try:
        return base64.a85decode(text)
    except ValueError:
        return b""


def _runs(data: bytes, room: int) -> bytes:
    out = bytearray()
    at = 0
    while at < len(data) and len(out) < room:
        length = data[at]
        if length == 128:  # noqa: PLR2004  (the end of data)
            break
        if length < 128:  # noqa: PLR2004
            out += data[at + 1 : at + 2 + length]
            at += 2 + length
        else:
            out += data[at + 1 : at + 2] * (257 - length)
            at += 2
    return bytes(out)


_UNDO = {
    b"FlateDecode": _inflate,
    b"Fl": _inflate,
    b"ASCIIHexDecode": _unhex,
    b"AHx": _unhex,
    b"ASCII85Decode": _base85,
    b"A85": _base85,
    b"RunLengthDecode": _runs,
    b"RL": _runs,
}


def _parts(
    data: bytes, streams: list[_Stream], budget: Budget, *, locked: bool, strange: bool
) -> Iterator[tuple[str, bytes]]:
    if not locked:
        for stream in streams:
            if _is_known(stream):
                yield f"stream{stream.number}", _decoded(data, stream, budget)
    if locked or strange:
        yield from _attachments(data, budget)


def _has_reader() -> bool:
    try:
        import pypdf  # noqa: F401, PLC0415  (optional)
    except ImportError:
        return False
    return True


def _attachments(data: bytes, budget: Budget) -> list[tuple[str, bytes]]:
    """Return what a full reader finds attached, of a locked file if it opens without a password."""
    try:
        import pypdf  # noqa: PLC0415  (optional)

        logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)  # a broken file would fill our log
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            return []
        return _listed(reader, budget)
    except LimitReached:
        raise
    except Exception:  # noqa: BLE001  (whatever a broken file makes of the library)
        return []


def _listed(reader: Any, budget: Budget) -> list[tuple[str, bytes]]:  # noqa: ANN401  (pypdf's, optional)
    """Return the attachments one by one, counted: together they could be more than there is memory."""
    found: list[tuple[str, bytes]] = []
    for attached in reader.attachment_list:
        budget.member()
        content = bytes(attached.content)
        budget.output(len(content))
        found.append((str(attached.name), content))
        if len(found) >= _MAX_ATTACHED:
            break
    return found
