"""ICAP heads: the request line or status line with its fields, checked line by line.

A Squid repeats nine of ten lines in every request, so a line that was checked once is known: the
caches are small, bounded in number and in length of what they keep. Source: RFC 3507 §4.3.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from icapd.protocol.abnf import FIELD, FOLD, MAX_FIELDS, MAX_LINE, REQUEST_LINE, STATUS_LINE, URI
from icapd.protocol.encapsulated import NOTHING, Layout, request_layout, response_layout
from icapd.protocol.errors import RemoteProtocolError
from icapd.protocol.events import RequestReceived

METHODS = frozenset({b"OPTIONS", b"REQMOD", b"RESPMOD"})
_NO_TOKENS: frozenset[bytes] = frozenset()

# Lines seen and found good, to (lower-case name, stripped value). 4096 lines of 200 bytes are 1 MB at most.
_KNOWN_LINES: dict[bytes, tuple[bytes, bytes]] = {}
_MAX_KNOWN_LINES = 4096
_MAX_KNOWN_LENGTH = 200


@dataclass(frozen=True, slots=True)
class RequestLine:
    """Method and service path of a request line, the query cut off: (b"REQMOD", b"/reqmod")."""

    method: bytes
    path: bytes


@functools.lru_cache(maxsize=256)  # a client asks for two or three services all its life
def parse_request_line(line: bytes) -> RequestLine:
    """Parse b"REQMOD icap://host:1344/reqmod ICAP/1.0".

    Raises RemoteProtocolError: 400 for its syntax, 505 for another version, 501 for another method.
    """
    if len(line) > MAX_LINE:
        raise RemoteProtocolError(400, "the request line is longer than the limit")
    match = REQUEST_LINE.fullmatch(line)
    if match is None:
        raise RemoteProtocolError(400, "the request line is not 'METHOD icap://host/service ICAP/1.0'")
    if (match[3], match[4]) != (b"1", b"0"):
        raise RemoteProtocolError(505, "only ICAP/1.0 is spoken here")
    if match[1] not in METHODS:
        raise RemoteProtocolError(501, "only OPTIONS, REQMOD and RESPMOD are known here")
    uri = URI.fullmatch(match[2])
    if uri is None:
        raise RemoteProtocolError(400, "the request URI is not an absolute icap:// URI")
    return RequestLine(match[1], uri[2] or b"/")


def tokens(value: bytes) -> frozenset[bytes]:
    """Split a comma-separated list into lower-case tokens: b"204, Trailers" to {b"204", b"trailers"}."""
    # 64 KB of tokens take megabytes as a set: no cache may hold that
    return _known_tokens(value) if len(value) <= _MAX_KNOWN_LENGTH else _split(value)


def _split(value: bytes) -> frozenset[bytes]:
    return frozenset(item.strip().lower() for item in value.split(b",") if item.strip())


_known_tokens = functools.lru_cache(maxsize=256)(_split)


def parse_fields(lines: list[bytes]) -> dict[bytes, bytes]:
    """Map lower-case names to values; fields of one name are joined by b", " (RFC 2616 §4.2).

    Two X-Client-IP thus become no address, and two Encapsulated no legal list, rather than a choice
    between them. Raises RemoteProtocolError(400) for a line that is not 'name: value'.
    """
    if len(lines) > MAX_FIELDS:
        raise RemoteProtocolError(400, "more header lines than the limit")
    fields: dict[bytes, bytes] = {}
    known = _KNOWN_LINES
    last = b""
    for line in lines:
        pair = known.get(line)
        if pair is None:
            if line[:1] in {b" ", b"\t"} and last and FOLD.fullmatch(line):
                fields[last] += b" " + line.strip()  # folding, RFC 2616 §4.2
                continue
            pair = _parse_field(line)
        last = pair[0]
        if last in fields:
            fields[last] += b", " + pair[1]
        else:
            fields[last] = pair[1]
    return fields


def _parse_field(line: bytes) -> tuple[bytes, bytes]:
    if FIELD.fullmatch(line) is None:
        raise RemoteProtocolError(
            400, "a header line is not 'name: value', or holds a NUL, bare CR or bare LF"
        )
    name, _, value = line.partition(b":")
    pair = (name.lower(), value.strip())
    if len(line) <= _MAX_KNOWN_LENGTH:
        if len(_KNOWN_LINES) >= _MAX_KNOWN_LINES:
            _KNOWN_LINES.clear()
        _KNOWN_LINES[line] = pair
    return pair


def parse_request_head(head: bytes) -> tuple[RequestReceived, Layout]:
    """Parse an ICAP request head, `head` without its blank line; the encapsulated heads are still None.

    Raises RemoteProtocolError with the status that answers it.
    """
    lines = head.split(b"\r\n")
    line = parse_request_line(lines[0])
    method = line.method
    del lines[0]
    fields = parse_fields(lines)
    encapsulated = fields.get(b"encapsulated")
    if method != b"OPTIONS":
        if b"host" not in fields:
            raise RemoteProtocolError(400, "Host is required")
        if encapsulated is None:  # errata e1: no Encapsulated, no body; and so nothing to adapt
            raise RemoteProtocolError(400, "REQMOD and RESPMOD need an Encapsulated header")
    layout = NOTHING if encapsulated is None else request_layout(method, encapsulated)
    allow = fields.get(b"allow")
    connection = fields.get(b"connection")
    request = RequestReceived(
        method,
        line.path,
        fields,
        None,
        None,
        layout.body,
        None,
        _NO_TOKENS if allow is None else tokens(allow),
        connection is not None and b"close" in tokens(connection),
    )
    if b"preview" in fields:
        request.preview = _preview(fields[b"preview"])
    return request, layout


def _preview(value: bytes) -> int:
    if not value.isdigit() or len(value) > 10:  # noqa: PLR2004  # bytes.isdigit is ASCII only
        raise RemoteProtocolError(400, "Preview is not a decimal number")
    return int(value)


@dataclass(slots=True, eq=False)
class ResponseHead:
    """An ICAP response head before its encapsulated heads have come."""

    status: int
    reason: str
    fields: dict[bytes, bytes]
    layout: Layout


def parse_response_head(head: bytes) -> ResponseHead:
    """Parse an ICAP response head, `head` without its blank line.

    Raises RemoteProtocolError: 502 for its status line, 400 for the rest.
    """
    first, *lines = head.split(b"\r\n")
    match = STATUS_LINE.fullmatch(first)
    if match is None or len(first) > MAX_LINE:
        raise RemoteProtocolError(502, "the answer does not begin with an ICAP/1.0 status line")
    fields = parse_fields(lines)
    encapsulated = fields.get(b"encapsulated")
    return ResponseHead(
        int(match[1]),
        (match[2] or b"").decode("latin-1"),
        fields,
        NOTHING if encapsulated is None else response_layout(encapsulated),
    )
