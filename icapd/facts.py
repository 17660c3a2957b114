"""From an ICAP request to the facts of a transaction.

Only ICAP headers say who asks: the same names inside the HTTP message come from the user and count
for nothing. X-Client-… are Squid's, X-Authenticated-… those of draft-stecher-icap-subid.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from icapd.accounts import IN_DOUBT, group_names, groups_in, guessed, without_password, without_scheme
from icapd.http import HeadError, RequestHead, ResponseHead
from icapd.transaction import Client, Point, Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_REQMOD = Point.REQMOD  # as a global: see icapd.protocol.server
_UNKNOWN = b"-"  # how Squid writes what it does not know
FRAGMENT = b"x-icapd-fragment"  # set on every request by a Squid that runs our fragment
_REMEMBERED = 4096  # names and lists of groups, since each request of a user repeats them


@dataclass(frozen=True, slots=True)
class UserHeaders:
    """How ICAP clients name a user and his groups.

    `name` is the header of Squid's user name in small letters; `encoding` is raw, base64, or auto:
    base64 from a Squid that runs our fragment, as it is from all others. `groups` are the groups that
    the fragment asks Squid's own helpers about, each with its header (`group_header`).
    """

    name: bytes = b"x-client-username"
    encoding: str = "auto"
    groups: tuple[tuple[bytes, str], ...] = ()


USUAL = UserHeaders()


def user_headers(name: str, encoding: str, groups: Iterable[str]) -> UserHeaders:
    """Make UserHeaders of what icapd.yaml says."""
    headers = tuple((group_header(group).lower().encode("ascii"), group) for group in groups)
    return UserHeaders(name.lower().encode("ascii"), encoding, headers)


def group_header(group: str) -> str:
    """Return the ICAP header in which the fragment tells whether the user is in `group`: "1" or "0".

    Made of the name, not of its place in a list: a fragment older than icapd.yaml then leaves a group
    unknown, and never tells of another group.
    """
    slug = re.sub(r"[^A-Za-z0-9]+", "-", group).strip("-")[:40]
    digest = hashlib.sha256(group.encode()).hexdigest()[:8]
    return f"X-Client-Group-{slug}-{digest}" if slug else f"X-Client-Group-{digest}"


def transaction_of(  # noqa: PLR0917  (called with a mapping's bytes, once per request)
    point: Point,
    headers: Mapping[bytes, bytes],
    request_head: bytes | None,
    response_head: bytes | None,
    now: float,
    names: UserHeaders = USUAL,
) -> Transaction:
    """Build the facts from ICAP `headers` (lower-case names) and the encapsulated heads as they came.

    `now` is seconds since the epoch. Raises HeadError when a REQMOD's request line is none, or a user's
    name none. A RESPMOD's response head that is none (one known client sends a request line there) is an
    unknown fact instead. Groups are None where headers do not tell them (icapd.directory goes on there).
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
    address, sni, server = map(headers.get, (b"x-client-ip", b"x-sni", b"x-server-ip"))
    client = Client(
        None if not address or address == _UNKNOWN else address.decode("latin-1"),
        user_of(headers, names),
        _groups(headers, names),
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
        None,
        () if not server or server == _UNKNOWN else (server.decode("latin-1"),),
    )


def user_of(headers: Mapping[bytes, bytes], names: UserHeaders) -> str | None:
    """The user's name: Squid's header, or X-Authenticated-User as a URI (`Local://name`), plain or base64."""
    value = headers.get(names.name)
    if value:
        encoded = names.encoding == "base64" or (names.encoding == "auto" and FRAGMENT in headers)
        return None if value == _UNKNOWN else _squids_name(value, encoded)
    value = headers.get(b"x-authenticated-user")
    return None if not value or value == _UNKNOWN else _uri_name(value, names.encoding)


@lru_cache(_REMEMBERED)
def _squids_name(value: bytes, encoded: bool) -> str:
    return _checked(_text(_decoded(value) if encoded else value))


@lru_cache(_REMEMBERED)
def _uri_name(value: bytes, encoding: str) -> str | None:
    text = _text(_decoded(value) if encoding == "base64" else value)
    if encoding == "auto":
        text = without_password(guessed(text))
    return _checked(without_scheme(text)) or None


def _groups(headers: Mapping[bytes, bytes], names: UserHeaders) -> tuple[str, ...] | None:
    """Every name of every group that headers tell; IN_DOUBT if not all are told, None if none was to be."""
    value = headers.get(b"x-authenticated-groups")
    asked = names.groups if FRAGMENT in headers else ()
    if value is None and not asked:
        return None
    found = () if not value or value == _UNKNOWN else _listed(value, names.encoding)
    for header, group in asked:
        told = headers.get(header)
        if told == b"1":
            found += group_names(group)
        elif told != b"0" and IN_DOUBT not in found:
            found += (IN_DOUBT,)
    return found


@lru_cache(_REMEMBERED)
def _listed(value: bytes, encoding: str) -> tuple[str, ...]:
    groups = groups_in(_checked(_text(value)), encoding)
    return tuple(dict.fromkeys(name for group in groups for name in group_names(group)))


def _decoded(value: bytes) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise HeadError("the user's name is not base64") from None


def _checked(name: str) -> str:
    """Refuse control characters: no name has them, and what a log or LDAP makes of them is anyone's guess."""
    if not name.isprintable():
        raise HeadError("the name of the user or of a group holds a control character")
    return name


def _text(value: bytes) -> str:
    """UTF-8; if it is none, Latin-1, in which older browsers send names."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _port(value: bytes) -> int | None:
    return int(value) if value.isdigit() and len(value) < 6 else None  # noqa: PLR2004
