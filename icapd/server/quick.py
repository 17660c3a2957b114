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
from typing import TYPE_CHECKING, NamedTuple

from icapd.edits import scannable_at_a_glance
from icapd.events import record_line
from icapd.facts import user_of
from icapd.http import MAX_HOST, PLAIN_TARGET, HeadError
from icapd.protocol import RemoteProtocolError
from icapd.protocol.encapsulated import cut_head
from icapd.protocol.head import parse_request_head
from icapd.server.hosts import Hosts
from icapd.transaction import Point

if TYPE_CHECKING:
    from icapd.protocol import RequestReceived
    from icapd.protocol.encapsulated import Layout
    from icapd.server.hosts import Prepared
    from icapd.server.site import Generation, Site

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
_Target = tuple[bytes, bytes, bytes, bytes, bytes, bytes]
_REQMOD, _RESPMOD = Point.REQMOD, Point.RESPMOD  # as globals: see icapd.protocol.server


class _Plain(NamedTuple):
    """A message that is plain in every respect. `lower` is the request's `head` in small letters."""

    point: Point
    method: str
    url: str
    host: bytes
    name: str
    headers: dict[bytes, bytes]
    client: str | None
    user: str | None
    has_body: bool
    held_back: bool
    head: bytes
    lower: bytes


class Quick:
    """Answers for one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._generation: Generation | None = None
        self._hosts: Hosts
        self.begun: tuple[RequestReceived, Layout, int] | None = None  # the head read last, and its end

    def answer(self, data: bytes) -> tuple[bytes, bool] | None:
        """Answer the request that `data` is, or return None to have it taken the long way.

        The second value says whether the client holds back the rest of a body: see `answered_aside`.
        After None, `begun` is what was read of it, if it was read: nothing needs to be parsed twice.
        """
        site = self._site
        self.begun = None
        generation = site.generation
        if site.draining or site.late or site.probes.active or generation.directory.asked:
            return None
        if generation is not self._generation:
            self._generation = generation
            self._hosts = Hosts(generation.policy, generation.pages)
        try:
            plain = self._read(data)
            if plain is None:
                return None
            prepared = self._hosts[plain.host]
            if prepared is None:
                return None
            if prepared.blocks:
                return self._block(plain, prepared)
            return self._let_through(plain, prepared)
        except (RemoteProtocolError, HeadError):
            return None

    def _let_through(self, plain: _Plain, prepared: Prepared) -> tuple[bytes, bool] | None:
        site = self._site
        generation = site.generation
        policy = generation.policy
        point, headers = plain.point, plain.headers
        server = headers.get(b"x-server-ip")
        if (
            (server and server != _UNKNOWN and not policy.ignores(plain.name, (server.decode("latin-1"),)))
            or (policy.threats and point is _RESPMOD)  # where it sends the user may be on a list too
            or (generation.scans.scanners.active and not _goes_unchanged(plain))
        ):
            return None
        site.decisions.append(
            record_line(
                time.time(),  # noqa: TID251  # the server's clock
                site.next_id(),
                point,
                plain.method,
                plain.url,
                plain.client,
                plain.user,
                prepared.verdict,
                "",
                204,
            )
        )
        return site.banner.unmodified, plain.held_back

    def _block(self, plain: _Plain, prepared: Prepared) -> tuple[bytes, bool] | None:
        site = self._site
        server = plain.headers.get(b"x-server-ip")
        if plain.point is _RESPMOD or (server and server != _UNKNOWN):
            return None
        now = time.time()  # noqa: TID251  # the server's clock
        decision_id = site.next_id()
        method, url, client, user = plain.method, plain.url, plain.client, plain.user
        values = {
            "client_ip": client or "",
            "decision_id": decision_id,
            "host": plain.name,
            "method": method,
            "url": url,
            "user": user or "",
            "user_agent": "",
        }
        answer = prepared.answer(plain.head, plain.lower, values, now).render(site.banner, close=False)
        verdict = prepared.verdict
        site.decisions.append(
            record_line(now, decision_id, _REQMOD, method, url, client, user, verdict, "", 200)
        )
        return answer, plain.held_back

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
        method, url, scheme, host, head, lower = found
        name = host.decode("ascii")
        if scheme == b"https" and not site.tunnels.is_plain(headers, name):
            return None
        user = user_of(headers, site.generation.user_headers)
        address = headers.get(b"x-client-ip")
        return _Plain(
            service.point,
            method.decode("ascii"),
            url.decode("ascii"),
            host,
            name,
            headers,
            None if not address or address == _UNKNOWN else address.decode("latin-1"),
            user,
            layout.body is not None,
            ending == _GOES_ON,
            head,
            lower,
        )


def _goes_unchanged(plain: _Plain) -> bool:
    """Whether, while scanners are active, there is nothing to scan and nothing to edit in the head."""
    if plain.has_body:
        return False
    return plain.point is _RESPMOD or scannable_at_a_glance(plain.lower)


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
    return (method, url, scheme, host, head, lower) if is_plain else None


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
