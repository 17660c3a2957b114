"""The shortcut: a request that no rule can concern, answered in one pass.

That is most of the traffic: a plain URL whose host no rule names, the request whole in one read, the
answer 204. Each step of the long way (ServerConnection, transaction_of, adapt, decision_line) makes an
object or two that such a request does not need. What comes out is exactly what the long way gives, the
line in the log included; tests/server/test_quick.py holds the two against each other. Whatever is not
plain in every respect is None here, and goes the long way.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from icapd.events import ALLOWED, record_line
from icapd.facts import user_of
from icapd.http import MAX_HOST, PLAIN_TARGET, HeadError
from icapd.protocol import RemoteProtocolError
from icapd.protocol.encapsulated import cut_head
from icapd.protocol.head import parse_request_head
from icapd.transaction import Point

if TYPE_CHECKING:
    from icapd.protocol import RequestReceived
    from icapd.protocol.encapsulated import Layout
    from icapd.server.site import Site

_CRLF = b"\r\n"
_BLANK = b"\r\n\r\n"
_UNKNOWN = b"-"  # how Squid writes what it does not know
_LINE = re.compile(rb"(GET|HEAD|POST|PUT) (%b) HTTP/1\.[01]\r\n" % PLAIN_TARGET.encode("ascii"))
_STATUS = re.compile(rb"HTTP/1\.[01] [0-9]{3}(?: [^\r]*)?\r\n")
_SIZE = re.compile(rb"[0-9a-fA-F]{1,4}")
# How a preview of one chunk ends: the body goes on behind it, or this was all of it (RFC 3507 §4.5).
_GOES_ON = b"\r\n0\r\n\r\n"
_ENDS = b"\r\n0; ieof\r\n\r\n"
_MAX_LENGTH_DIGITS = 18
_BODYLESS = frozenset({b"GET", b"HEAD"})
_Target = tuple[bytes, bytes, bytes, bytes]
_Plain = tuple[Point, str, str, str, "dict[bytes, bytes]", "str | None", bool]


class Quick:
    """Answers for one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.begun: tuple[RequestReceived, Layout, int] | None = None  # the head read last, and its end

    def answer(self, data: bytes) -> tuple[bytes, bool] | None:
        """Answer the request that `data` is, or return None to have it taken the long way.

        The second value says whether the client holds back the rest of a body: see `answered_aside`.
        After None, `begun` is what was read of it, if it was read: nothing needs to be parsed twice.
        """
        site = self._site
        self.begun = None
        generation = site.generation
        if site.draining or generation.directory.asked or generation.scans.scanners.active or site.late:
            return None
        if site.probes.active:  # for a minute, while `icapd doctor` looks
            return None
        try:
            plain = self._read(data)
        except (RemoteProtocolError, HeadError):
            return None
        if plain is None:
            return None
        point, method, url, host, headers, user, held_back = plain
        server = headers.get(b"x-server-ip")
        servers = () if not server or server == _UNKNOWN else (server.decode("latin-1"),)
        policy = generation.policy
        if not policy.ignores(host, servers) or (policy.threats and point is Point.RESPMOD):
            return None  # of a response, where it sends the user may be on a list too
        address = headers.get(b"x-client-ip")
        site.decisions.append(
            record_line(
                time.time(),  # noqa: TID251  # the server's clock
                site.next_id(),
                point,
                method,
                url,
                None if not address or address == _UNKNOWN else address.decode("latin-1"),
                user,
                ALLOWED,
                "",
                204,
            )
        )
        return site.banner.unmodified, held_back

    def _read(self, data: bytes) -> _Plain | None:
        end = data.find(_BLANK)
        if end < 0:
            return None
        icap, layout = parse_request_head(data[:end])
        site = self._site
        service = site.services.get(icap.path)
        headers = icap.headers
        start = end + 4
        self.begun = (icap, layout, start)
        ending = _ending(data, start + layout.size, has_body=layout.body is not None)
        if (
            ending is None
            or service is None
            or service.method != icap.method
            or icap.close
            or not layout.request_end
            or (icap.preview is None and (ending or b"204" not in icap.allow))
            or b"x-authenticated-groups" in headers
        ):
            return None
        found = _plain_request(data, start, layout, headers.get(b"x-sni"))
        if found is None:
            return None
        method, url, scheme, host = found
        name = host.decode("ascii")
        if scheme == b"https" and not site.tunnels.is_plain(headers, name):
            return None
        user = user_of(headers, site.generation.user_headers)
        return (
            service.point,
            method.decode("ascii"),
            url.decode("ascii"),
            name,
            headers,
            user,
            ending == _GOES_ON,
        )


def _ending(data: bytes, at: int, *, has_body: bool) -> bytes | None:
    """Return how the body at data[at:] ends: b"" where there is none, else as a preview of one chunk does.

    None if it is anything else, is not whole, or has something behind it.
    """
    if not has_body:
        return b"" if len(data) == at else None
    line = data.find(_CRLF, at, at + 6)
    if line < 0 or _SIZE.fullmatch(data, at, line) is None:
        return None
    size = int(data[at:line], 16)
    ending = data[line + 2 + size :]
    return ending if size and ending in {_GOES_ON, _ENDS} else None


def _plain_request(data: bytes, start: int, layout: Layout, sni: bytes | None) -> _Target | None:
    """Read method, URL, scheme and host of the encapsulated request.

    None unless all of its names are one, and no length is in doubt.
    """
    middle = start + layout.request_end
    head = cut_head(data, start, middle)
    match = _LINE.match(head)
    if match is None:
        return None
    method, url, scheme, host, path, _ = match.groups()
    if (
        b"/." in path
        or b"xn--" in host
        or len(host) > MAX_HOST
        or (sni is not None and sni not in {host, _UNKNOWN})
    ):
        return None
    lower = head.lower()
    mark = b"\r\nhost: " + host + _CRLF
    at = lower.find(mark)
    if at < 0 or lower.count(b"\nhost:") != 1 or lower[at + len(mark)] in b" \t":
        return None
    is_plain = True
    if layout.has_response:
        response = cut_head(data, middle, start + layout.size)
        is_plain = _STATUS.match(response) is not None and _plain_length(response.lower())
    elif method not in _BODYLESS:
        is_plain = _plain_length(lower)
    return (method, url, scheme, host) if is_plain else None


def _plain_length(lower: bytes) -> bool:
    """Whether a head (in small letters) has no Content-Length, or one that is a plain number."""
    at = lower.find(b"\ncontent-length:")
    if at < 0:
        return True
    end = lower.find(_CRLF, at)
    value = lower[at + 16 : end].strip()
    return (
        lower.find(b"\ncontent-length:", end) < 0
        and value.isdigit()
        and len(value) <= _MAX_LENGTH_DIGITS
        and lower[end + 2] not in b" \t"
    )
