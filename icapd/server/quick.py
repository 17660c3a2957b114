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

from icapd.edits import scannable_at_a_glance
from icapd.events import plain_line
from icapd.http import MAX_HOST, PLAIN_TARGET, HeadError
from icapd.metrics.words import PREVIEWS, QUICK, RESPONSES, SENT
from icapd.protocol import RemoteProtocolError
from icapd.server.answering import begun_echo
from icapd.server.askers import Askers
from icapd.server.hosts import Hosts
from icapd.transaction import Point

if TYPE_CHECKING:
    from icapd.protocol.encapsulated import Layout
    from icapd.server.askers import Asker
    from icapd.server.hosts import Prepared
    from icapd.server.site import Generation, Site

_CRLF = b"\r\n"
_BLANK = b"\r\n\r\n"
_LINE = re.compile(rb"(GET|HEAD|POST|PUT) (%b) HTTP/1\.[01]\r\n" % PLAIN_TARGET.encode("ascii"))
_STATUS = re.compile(rb"HTTP/1\.[01] [0-9]{3}(?: [^\r]*)?\r\n")
_SIZE = re.compile(rb"[0-9a-fA-F]{1,4}")
# How a preview of one chunk ends: the body goes on behind it, or this was all of it (RFC 3507 §4.5).
_GOES_ON = b"\r\n0\r\n\r\n"
_ENDS = b"\r\n0; ieof\r\n\r\n"
_MAX_LENGTH_DIGITS = 18
_BODYLESS = frozenset({b"GET", b"HEAD"})
_REQMOD, _RESPMOD = Point.REQMOD, Point.RESPMOD  # as globals: see icapd.protocol.server
_Plain = tuple[
    bytes, bytes, bytes, bytes, bytes, bytes
]  # method, URL, scheme, host, all heads, those in small letters


class Quick:
    """Answers for one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._generation: Generation | None = None
        self._hosts: Hosts
        self._askers: Askers

    def answer(self, data: bytes) -> tuple[bytes, bool, int] | None:
        """Answer the request that `data` is, or return None to have it taken the long way.

        The second value says whether the client holds back the rest of a body: see `answered_aside`. The
        third is 0, or where in `data` the body begins that is to follow the answer: see `echoed_aside`.
        """
        site = self._site
        generation = site.generation
        if site.draining or site.late.by_client or site.probes.active or generation.directory.asked:
            return None
        if generation is not self._generation:
            old, self._generation = self._generation, generation
            if old is None or old.policy is not generation.policy or old.pages is not generation.pages:
                self._hosts = Hosts(generation.policy, generation.pages)
            if old is None or old.user_headers != generation.user_headers:
                self._askers = Askers(site.services, generation.user_headers)
        try:
            return self._answer(data, generation)
        except (RemoteProtocolError, HeadError):
            return None

    def _answer(self, data: bytes, generation: Generation) -> tuple[bytes, bool, int] | None:
        end = data.find(_BLANK)
        read = self._askers.read(data[:end]) if end > 0 else None
        if read is None:
            return None
        asker, layout = read
        has_body = layout.body is not None
        if not (layout.request_end and (asker.previews or asker.allows_204 is not has_body)):
            return None
        start = end + 4
        body = start + layout.size if has_body and not asker.previews else 0
        ending = b"" if body else _ending(data, start + layout.size, has_body=has_body)
        plain = None if ending is None else _plain_request(data, start, layout, asker.sni)
        if plain is None or (plain[2] == b"https" and not self._is_open(asker, plain)):
            return None
        prepared = self._hosts[plain[3]]
        answer = None
        if prepared is None:
            pass
        elif prepared.blocks:
            answer = None if body else self._block(asker, plain, prepared)
        elif self._passes(asker, plain, has_body, generation):
            decision_id = self._note(asker, plain, prepared, 200 if body else 204)
            if body:
                answer = self._echo(data[start:body], layout, decision_id)
            else:
                answer = self._site.banner.named(decision_id)
        if answer is None:
            return None
        if asker.previews and has_body:
            self._site.counts[PREVIEWS] += 1
        return answer, ending == _GOES_ON, body

    def _is_open(self, asker: Asker, plain: _Plain) -> bool:
        """Whether nothing is to be looked at in the tunnel that the request came in."""
        return self._site.tunnels.is_plain(asker.headers, plain[3].decode("ascii"))

    @staticmethod
    def _passes(asker: Asker, plain: _Plain, has_body: bool, generation: Generation) -> bool:
        """Whether a message that its host lets through has nothing else that is to be looked at."""
        policy = generation.policy
        server = asker.server
        if server is not None and not policy.ignores(plain[3].decode("ascii"), (server,)):
            return False
        if asker.point is _RESPMOD and policy.threats:  # where it sends the user may be on a list too
            return False
        if not generation.scans.scanners.active:
            return True
        return not has_body and (asker.point is _RESPMOD or scannable_at_a_glance(plain[5]))

    def _echo(self, heads: bytes, layout: Layout, decision_id: str) -> bytes:
        """Return the answer's head, of a message whose body goes back as it comes."""
        entity = b"res" if layout.has_response else b"req"
        head = heads[layout.request_end :] if layout.has_response else heads
        return begun_echo(head, entity, decision_id).render(self._site.banner, close=False)

    def _note(self, asker: Asker, plain: _Plain, prepared: Prepared, status: int) -> str:
        site = self._site
        decision_id = site.next_id()
        at = asker.counts + prepared.counted
        if status == 204:  # noqa: PLR2004
            site.counts[at] += 1
        else:
            site.counts[at - QUICK] += 1
            site.counts[RESPONSES] += 1  # 200
        site.decisions.append(
            plain_line(
                time.time(),  # noqa: TID251  # the server's clock
                decision_id,
                asker.point,
                plain[0].decode("ascii"),
                plain[1].decode("ascii"),
                asker.part,
                prepared.verdict,
                status,
            )
        )
        return decision_id

    def _block(self, asker: Asker, plain: _Plain, prepared: Prepared) -> bytes | None:
        if asker.point is _RESPMOD or asker.server is not None:
            return None
        site = self._site
        now = time.time()  # noqa: TID251  # the server's clock
        decision_id = site.next_id()
        method, url, host = plain[0].decode("ascii"), plain[1].decode("ascii"), plain[3].decode("ascii")
        values = {
            "client_ip": asker.client,
            "decision_id": decision_id,
            "host": host,
            "method": method,
            "url": url,
            "user": asker.user,
            "user_agent": "",
        }
        answer = prepared.answer(plain[4], plain[5], values, now).render(site.banner, close=False)
        verdict = prepared.verdict
        counts = site.counts
        counts[asker.counts + prepared.counted] += 1
        counts[SENT] += len(answer)
        site.decisions.append(plain_line(now, decision_id, _REQMOD, method, url, asker.part, verdict, 200))
        return answer


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


def _plain_request(data: bytes, start: int, layout: Layout, sni: bytes | None) -> _Plain | None:
    """Read method, URL, scheme and host of the encapsulated request.

    None unless all of its names are one, and no length is in doubt.
    """
    middle = layout.request_end
    heads = data[start : start + layout.size]
    match = _LINE.match(heads)
    if match is None or not _are_cut(heads, middle, layout):
        return None
    method, url, scheme, host, path, _ = match.groups()
    if b"/." in path or b"xn--" in host or len(host) > MAX_HOST or (sni is not None and sni != host):
        return None
    lower = heads.lower()
    mark = b"\r\nhost: " + host + _CRLF
    at = lower.find(mark)
    if not 0 <= at < middle or lower.count(b"\nhost:", 0, middle) != 1 or lower[at + len(mark)] in b" \t":
        return None
    is_plain = True
    if layout.has_response:
        is_plain = _STATUS.match(heads, middle) is not None and _plain_length(lower, middle)
    elif method not in _BODYLESS:
        is_plain = _plain_length(lower, 0)
    return (method, url, scheme, host, heads, lower) if is_plain else None


def _are_cut(heads: bytes, middle: int, layout: Layout) -> bool:
    """Whether one or two heads are just what `cut_head` lets pass, and end where it is said."""
    if heads.find(_BLANK) != middle - 4:
        return False
    if layout.has_response and heads.find(_BLANK, middle) != layout.size - 4:
        return False
    bare = heads.replace(_CRLF, b"")
    return not (b"\n" in bare or b"\r" in bare or b"\0" in bare)


def _plain_length(lower: bytes, start: int) -> bool:
    """Whether a head, in small letters from `start` on, has no Content-Length or one plain number."""
    at = lower.find(b"\ncontent-length:", start)
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
