"""ICAP heads: the request line or status line with its fields, checked once, looked up lazily.

Source: RFC 3507 §4.3; the checks are those of facts on known attacks: duplicate Encapsulated,
NUL, bare CR or LF, a line without a colon, a name with blanks before its colon.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from icapd.http import Headers
from icapd.protocol.abnf import FIELDS, MAX_LINE, REQUEST_LINE, STATUS_LINE, URI
from icapd.protocol.encapsulated import Entities, check_request, parse_encapsulated
from icapd.protocol.errors import RemoteProtocolError

METHODS = frozenset({b"OPTIONS", b"REQMOD", b"RESPMOD"})
_NO_TOKENS: frozenset[bytes] = frozenset()
_NO_ENTITIES: Entities = ((b"null-body", 0),)


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
    match = REQUEST_LINE.fullmatch(line)
    if match is None or len(line) > MAX_LINE:
        raise RemoteProtocolError(400, "the request line is not 'METHOD icap://host/service ICAP/1.0'")
    if (match[3], match[4]) != (b"1", b"0"):
        raise RemoteProtocolError(505, "only ICAP/1.0 is spoken here")
    if match[1] not in METHODS:
        raise RemoteProtocolError(501, "only OPTIONS, REQMOD and RESPMOD are known here")
    uri = URI.fullmatch(match[2])
    if uri is None:
        raise RemoteProtocolError(400, "the request URI is not an absolute icap:// URI")
    return RequestLine(match[1], uri[2] or b"/")


@functools.lru_cache(maxsize=256)
def tokens(value: bytes) -> frozenset[bytes]:
    """Split a comma-separated list into lower-case tokens: b"204, Trailers" to {b"204", b"trailers"}."""
    return frozenset(item.strip().lower() for item in value.split(b",") if item.strip())


def check_fields(head: bytes, at: int) -> None:
    """Refuse fields that are not 'name: value' lines: RemoteProtocolError(400). `at` is the first CRLF."""
    if FIELDS.fullmatch(head, at) is None:
        raise RemoteProtocolError(400, "a header line is not 'name: value', or holds a NUL, bare CR or bare LF")


def entities_of(headers: Headers) -> Entities | None:
    """Parse the one Encapsulated of `headers`, None where there is none; two are refused (400)."""
    values = headers.get_all(b"encapsulated")
    if not values:
        return None
    if len(values) > 1:
        raise RemoteProtocolError(400, "more than one Encapsulated")
    return parse_encapsulated(values[0])


@dataclass(slots=True, eq=False)
class RequestHead:
    """An ICAP request head before its encapsulated heads have come."""

    line: RequestLine
    headers: Headers
    entities: Entities
    preview: int | None
    allow: frozenset[bytes]
    close: bool


def parse_request_head(head: bytes) -> RequestHead:
    """Parse an ICAP request head, `head` without its blank line.

    Raises RemoteProtocolError with the status that answers it.
    """
    end = head.find(b"\r\n")
    if end < 0:
        end = len(head)
    line = parse_request_line(head[:end])
    check_fields(head, end)
    headers = Headers(head[end:])
    method = line.method
    entities = entities_of(headers)
    if entities is None:
        if method != b"OPTIONS":  # errata e1: no Encapsulated, no body; and so nothing to adapt
            raise RemoteProtocolError(400, "REQMOD and RESPMOD need an Encapsulated header")
        entities = _NO_ENTITIES
    if method != b"OPTIONS" and headers.get(b"host") is None:
        raise RemoteProtocolError(400, "Host is required")
    check_request(method, entities)
    allow = headers.get(b"allow")
    connection = headers.get(b"connection")
    return RequestHead(
        line,
        headers,
        entities,
        _preview(headers) if entities[-1][0] != b"null-body" else None,
        _NO_TOKENS if allow is None else tokens(allow),
        connection is not None and b"close" in tokens(connection),
    )


def _preview(headers: Headers) -> int | None:
    value = headers.get(b"preview")
    if value is None:
        return None
    if not value.isdigit() or len(value) > 10:  # noqa: PLR2004  # bytes.isdigit is ASCII only
        raise RemoteProtocolError(400, "Preview is not a decimal number")
    return int(value)


@dataclass(slots=True, eq=False)
class ResponseHead:
    """An ICAP response head before its encapsulated heads have come."""

    status: int
    reason: str
    headers: Headers
    entities: Entities


def parse_response_head(head: bytes) -> ResponseHead:
    """Parse an ICAP response head, `head` without its blank line. Raises RemoteProtocolError(502)."""
    end = head.find(b"\r\n")
    if end < 0:
        end = len(head)
    match = STATUS_LINE.fullmatch(head[:end])
    if match is None or end > MAX_LINE:
        raise RemoteProtocolError(502, "the answer does not begin with an ICAP/1.0 status line")
    check_fields(head, end)
    headers = Headers(head[end:])
    return ResponseHead(
        int(match[1]),
        (match[2] or b"").decode("latin-1"),
        headers,
        entities_of(headers) or _NO_ENTITIES,
    )
