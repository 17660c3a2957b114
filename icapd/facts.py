"""From an ICAP request to the facts of a transaction.

Only ICAP headers say who asks: the same names inside the HTTP message come from the user and count
for nothing. Source: Squid's ModXact.cc; the header conventions of ICAP clients (draft-stecher-icap-subid).
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from icapd.http import HeadError, RequestHead, ResponseHead
from icapd.transaction import Client, Point, Transaction

if TYPE_CHECKING:
    from collections.abc import Mapping

_REQMOD = Point.REQMOD  # as a global: see icapd.protocol.server
_UNKNOWN = b"-"  # how Squid writes what it does not know
FRAGMENT = b"x-icapd-fragment"  # set on every request by a Squid that runs our fragment


def transaction_of(
    point: Point,
    headers: Mapping[bytes, bytes],
    request_head: bytes | None,
    response_head: bytes | None,
    now: float,
) -> Transaction:
    """Build the facts from ICAP `headers` (lower-case names) and the encapsulated heads as they came.

    `now` is seconds since the epoch. Raises HeadError when a REQMOD's request line is none. A RESPMOD's
    response head that is none (one known client sends a request line there) is an unknown fact instead.
    """
    request = response = None
    if request_head is not None:
        try:
            request = RequestHead(request_head)
        except HeadError:
            if point is _REQMOD:
                raise
    if response_head is not None:
        try:
            response = ResponseHead(response_head)
        except HeadError:
            response = None
    address = headers.get(b"x-client-ip")
    sni = headers.get(b"x-sni")
    client = Client(
        None if not address or address == _UNKNOWN else address.decode("latin-1"),
        _user(headers),
        None,
        _port(headers[b"x-client-port"]) if b"x-client-port" in headers else None,
    )
    return Transaction(
        point,
        client,
        request,
        response,
        None if not sni or sni == _UNKNOWN else sni.decode("latin-1"),
        None,
        _port(headers[b"x-proxy-port"]) if b"x-proxy-port" in headers else None,
        now,
    )


def _user(headers: Mapping[bytes, bytes]) -> str | None:
    """The user's name: X-Client-Username, or X-Authenticated-User as a base64 URI (`Local://name`).

    Our fragment has Squid encode the name in base64; other clients send it as it is.
    """
    value = headers.get(b"x-client-username")
    if value:
        if FRAGMENT in headers:
            value = _base64(value)
        return value.decode("utf-8", "replace") if value and value != b"-" else None
    value = headers.get(b"x-authenticated-user")
    if not value:
        return None
    text = value.decode("utf-8", "replace")
    try:
        decoded = (_base64(value) or b"").decode()
    except UnicodeDecodeError:
        decoded = ""
    if decoded.isprintable():  # many a plain name is base64 too, but of no text
        text = decoded or text
    return text.partition("://")[2] or text


def _base64(value: bytes) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def _port(value: bytes) -> int | None:
    return int(value) if value.isdigit() and len(value) < 6 else None  # noqa: PLR2004
