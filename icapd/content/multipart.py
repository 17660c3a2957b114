"""Forms and mail: the parts of multipart bodies and of messages, their transfer encodings undone.

The boundary is the declared one, and every one that the content itself uses: senders lie, and what reads
the body may not go by the header. A part's content comes with its NULs, whatever they break elsewhere.
Sources: RFC 2045 §6, RFC 2046 §5.1, RFC 7578, RFC 2557 (web archives).
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

from icapd.content.codings import STEP
from icapd.content.part import Flaw, Part
from icapd.http import Headers
from icapd.policy.filenames import disposition_names
from icapd.verdicts import Kind

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

    from icapd.content.budget import Budget

    Buffer = mmap.mmap | bytes

_MAX_HEAD = 1 << 16  # bytes of a part's header
_MAX_BOUNDARIES = 16
_DECLARED = re.compile(r"boundary\*?\d*\*?\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"?|([^;,\s]+))", re.IGNORECASE)
# A boundary that the content uses: a line of two hyphens and more, then a header field, or another such line.
_USED = re.compile(rb"(?:\A|\n)--([^\r\n]{1,200}?)[ \t]*\r?\n(?=[!-9;-~]{1,100}[ \t]*:|\r?\n|--)")
_BLANK = re.compile(rb"\r?\n\r?\n|\r\n?\r\n")
_FIELD = re.compile(rb"[!-9;-~]{1,100}[ \t]*:")
_MAIL = re.compile(  # fields at the start of a message, one of which is of MIME or of mail alone
    rb"(?:From [^\r\n]*\r?\n)?(?:[!-9;-~]{1,100}:[^\n]{0,2000}\n(?:[ \t][^\n]{0,2000}\n){0,200}){1,200}?"
    rb"(?i:mime-version|content-type|content-transfer-encoding)[ \t]*:"
)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")


def is_multipart(media: tuple[str, ...]) -> bool:
    """Tell whether a body is declared to be of several parts."""
    return any(one.strip().lower().startswith("multipart/") for one in media)


def is_mail(media: tuple[str, ...], data: Buffer) -> bool:
    """Tell whether a body is a message with a header of its own: declared, or by its beginning."""
    if any(one.strip().lower().startswith(("message/rfc822", "message/global")) for one in media):
        return True
    return _MAIL.match(bytes(data[:STEP])) is not None


def split(data: Buffer, media: tuple[str, ...], budget: Budget) -> Iterator[Part | Flaw]:
    """Yield the parts of a multipart body. Raises LimitReached."""
    boundaries = [one for one in _declared(media) if data.find(b"--" + one) >= 0]
    boundaries += [one for one in _used(data, budget) if one not in boundaries]
    found = False
    for boundary in boundaries[:_MAX_BOUNDARIES]:
        for start, end in _spans(data, boundary, budget):
            found = True
            budget.member()
            yield from _part(data, start, end)
    if not found and bytes(data[:STEP]).strip():
        yield Flaw(Kind.UNSCANNABLE, "multipart without a boundary")


def message(data: Buffer, budget: Budget) -> Iterator[Part | Flaw]:
    """Yield the content of a message, which may be of several parts. Raises LimitReached."""
    budget.member()
    start = 0
    if bytes(data[:5]) == b"From ":  # mbox
        start = data.find(b"\n") + 1
    yield from _part(data, start, len(data))


def _declared(media: tuple[str, ...]) -> list[bytes]:
    found: dict[bytes, None] = {}
    for value in media:
        for match in _DECLARED.finditer(value):
            text = re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2]
            if text:
                found[text.encode("latin-1", "replace").rstrip()] = None
    return [one for one in found if one]


def _used(data: Buffer, budget: Budget) -> list[bytes]:
    found: dict[bytes, None] = {}
    for match in _USED.finditer(data):
        budget.clock()
        found[match[1]] = None
        if len(found) >= _MAX_BOUNDARIES:
            break
    return list(found)


def _spans(data: Buffer, boundary: bytes, budget: Budget) -> Iterator[tuple[int, int]]:
    """Yield where parts begin and end: between lines of the boundary; the last may lack its end."""
    line = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    start = -1
    for match in line.finditer(data):
        budget.clock()
        if 0 <= start <= match.start():
            yield start, match.start()
        start = match.end()
    if 0 <= start < len(data) and bytes(data[start : start + STEP]).strip():
        yield start, len(data)


def _part(data: Buffer, start: int, end: int) -> Iterator[Part]:
    """Yield a part as it stands and, if it has a transfer encoding, decoded."""
    head = bytes(data[start : min(end, start + _MAX_HEAD)])
    stripped = head[2:] if head.startswith(b"\r\n") else head.removeprefix(b"\n")
    start += len(head) - len(stripped)
    if _FIELD.match(stripped):
        blank = _BLANK.search(stripped)
        block, body = (stripped, end) if blank is None else (stripped[: blank.start()], start + blank.end())
    else:  # no header at all; a blank line may stand for it
        block, body = b"", start
        body += 2 if stripped.startswith(b"\r\n") else stripped.startswith(b"\n")
    headers = Headers(b"\r\n" + b"\r\n".join(block.splitlines()) + b"\r\n\r\n")
    media = tuple(value.decode("latin-1") for value in headers.get_all(b"content-type"))
    names = disposition_names(headers)
    name = names[-1][0] if names else "part"  # the field's name comes before the file's
    known = tuple(reading for readings in names for reading in readings)
    coded = [value.strip().lower() for value in headers.get_all(b"content-transfer-encoding")]
    size = max(0, end - body)
    if size == 0:
        return
    yield Part(name, _as_is(data, body, end), size, media, names=known)
    for coding in coded:
        if coding in _DECODERS:
            decoded = _DECODERS[coding](data, body, end)
            yield Part(name, decoded, size, media, guessed=True, names=known)


def _as_is(data: Buffer, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, STEP):
        yield bytes(data[at : min(end, at + STEP)])


def _base64(data: Buffer, start: int, end: int) -> Iterator[bytes]:
    left = b""
    for chunk in _as_is(data, start, end):
        for i, run in enumerate(chunk.split(b"=")):
            if i:  # padding ends a run; what follows begins anew, as most readers have it
                yield _padded(left)
                left = b""
            left += _NOT_BASE64.sub(b"", run)
            whole = len(left) // 4 * 4
            yield binascii.a2b_base64(left[:whole])
            left = left[whole:]
    yield _padded(left)


def _padded(left: bytes) -> bytes:
    return binascii.a2b_base64(left + b"=" * (-len(left) % 4)) if len(left) > 1 else b""


def _quoted(data: Buffer, start: int, end: int) -> Iterator[bytes]:
    left = b""
    for chunk in _as_is(data, start, end):
        lines, newline, left = (left + chunk).rpartition(b"\n")
        yield binascii.a2b_qp(lines + newline)
        if len(left) > STEP:
            yield binascii.a2b_qp(left)
            left = b""
    yield binascii.a2b_qp(left)


def _uuencoded(data: Buffer, start: int, end: int) -> Iterator[bytes]:
    inside = False
    for line in bytes(data[start:end]).splitlines():
        if line.startswith(b"begin "):
            inside = True
        elif line.strip() == b"end":
            inside = False
        elif inside and line:
            try:
                yield binascii.a2b_uu(line)
            except binascii.Error:
                continue


_DECODERS = {
    b"base64": _base64,
    b"quoted-printable": _quoted,
    b"x-uuencode": _uuencoded,
    b"uuencode": _uuencoded,
    b"x-uue": _uuencoded,
}
