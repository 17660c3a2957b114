"""Decide, then answer: the only place where policy, scanning and pages meet.

`adapt` answers by heads; what it says to `follow` is read and scanned, and `conclude` answers.

Pure: the transaction's facts in, a decision and an answer out; no ICAP framing, socket or clock.
An answer is UseVirgin, UseAdapted (libecap's names). A CONNECT that is denied goes back as the same
CONNECT, marked, to a Squid that runs our fragment: Squid denies it and serves our page inside the
tunnel (client_side_request.cc, "Force bump action on error"). Any other client gets the page as the
reply itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from icapd.edits import scannable
from icapd.http import TUNNEL_METHODS, HeadError, normal_host
from icapd.infection import infection_headers
from icapd.pages import Pages, page_values
from icapd.policy import Allow, Block, Bypass, Decision, Policy, Redirect, Refuse, TlsDecision, TrafficRule
from icapd.policy.media import content_length
from icapd.replies import (
    blocked_reply,
    follows_redirects,
    is_preflight,
    preflight_reply,
    redirect_reply,
    request_inside,
    request_next,
)
from icapd.transaction import BodyFacts, Point, Transaction
from icapd.verdicts import CONTENT, Finding, Kind, ScanError

if TYPE_CHECKING:
    from icapd.http import RequestHead

# Header names shared with the fragment (squid/): on the adapted CONNECT, and in the ICAP reply head.
VERDICT = b"X-Icapd-Verdict"
BUMP = b"X-Icapd-Bump"
PAGE = b"X-Icapd-Page"
LOCATION = b"X-Icapd-Location"
# The fragment refuses our names from clients; should one come, it decides nothing. Folded lines too.
_FORGED = re.compile(rb"(?i)(?<=\r\n)x-icapd-[^\r\n]*+\r\n(?:[ \t][^\r\n]*+\r\n)*+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+://")


@dataclass(frozen=True, slots=True)
class UseVirgin:
    """The message goes on as it came."""


@dataclass(frozen=True, slots=True)
class UseAdapted:
    """Another message takes its place.

    `head` ends in its blank line; `body` None means there is none; `is_response` tells what it is.
    `reply_headers` belong into the reply of the protocol that asked (ICAP), not into the message.
    """

    head: bytes
    body: bytes | None
    is_response: bool
    reply_headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class UseEdited:
    """The message goes on under another head; `head` ends in its blank line."""

    head: bytes


Answer = UseVirgin | UseAdapted | UseEdited
_VIRGIN = UseVirgin()
_REFUSED = Decision(Block(), "users")
_PASSING = frozenset({Allow, Bypass})
_REQMOD = Point.REQMOD  # as a global: see icapd.protocol.server


class Outcome(NamedTuple):
    """What was decided and what is answered. `tls`: of a CONNECT let through, what Squid does with it.

    `follow`: that was the head alone; the body is to be read, and `conclude` says what is answered.
    """

    decision: Decision
    answer: Answer
    tls: TlsDecision | None = None
    follow: bool = False


class HeadScanner(Protocol):
    """What `adapt` asks of icapd.adapters.scanners.Scanners."""

    active: bool

    def heads(self, tx: Transaction) -> tuple[Finding, ...]:
        """Return what is found in the names and addresses of a message."""
        ...


class Scanning(NamedTuple):
    """What there is to scan with; a body larger than `max_size` bytes is not (0: any is)."""

    scanners: HeadScanner
    max_size: int = 0


class Scanned(NamedTuple):
    """What came of a body: all that was found in message and body, who failed, and `facts` if it was read."""

    findings: tuple[Finding, ...] = ()
    errors: tuple[ScanError, ...] = ()
    facts: BodyFacts | None = None
    cached: bool = False


def adapt(
    tx: Transaction,
    policy: Policy,
    pages: Pages,
    decision_id: str,
    *,
    marks_connect: bool,
    refused: bool = False,
    scanning: Scanning | None = None,
) -> Outcome:
    """Decide `tx` by its head and give the answer that carries the decision out.

    `marks_connect`: whether the asking Squid runs the fragment that reads our marks. `refused`: the user
    is denied whatever the rules say, since what they ask about him could not be told.
    """
    if tx.misuse is not None:
        decision = Decision(Refuse(tx.misuse), "tunnel")
    else:
        decision = _REFUSED if refused else policy.decide(tx)
    if scanning is None or type(decision.action) is not Allow:
        return carry_out(tx, decision, policy, pages, decision_id, marks_connect=marks_connect)
    decision, follow = _at_head(tx, decision, policy, scanning)
    outcome = carry_out(tx, decision, policy, pages, decision_id, marks_connect=marks_connect)
    request = tx.request
    if type(outcome.answer) is UseVirgin and scanning.scanners.active and tx.point is _REQMOD and request:
        drops_range = type(decision.action) is Allow and policy.drops_range(tx)
        head = scannable(request.raw, request.headers, drops_range=drops_range)
        if head is not None:
            outcome = outcome._replace(answer=UseEdited(head))
    return outcome._replace(follow=True) if follow else outcome


def conclude(
    tx: Transaction,
    policy: Policy,
    pages: Pages,
    decision_id: str,
    scanned: Scanned,
) -> Outcome:
    """Decide what `adapt` said to follow, now that it was scanned, or that it is known why it cannot be."""
    final = replace(tx, body=scanned.facts, body_follows=False)
    decision = policy.decide(final)
    if type(decision.action) is Allow:
        decision = policy.protect(final, scanned.findings, scanned.errors, decision)
    return carry_out(final, decision, policy, pages, decision_id, marks_connect=False)


def _at_head(
    tx: Transaction, decision: Decision, policy: Policy, scanning: Scanning
) -> tuple[Decision, bool]:
    """Say what becomes of an allowed message by what its head shows, and whether its body is to be read."""
    scanners = scanning.scanners
    findings = scanners.heads(tx)
    protected = policy.protect(tx, findings, (), decision)
    if type(protected.action) is not Allow or not tx.body_follows:
        return protected, False
    if not (scanners.active and policy.protects(tx)) and not policy.wants_body(tx):
        return protected, False
    length = _length(tx)
    if not scanning.max_size or length is None or length <= scanning.max_size:
        return protected, True
    headed = replace(tx, body_follows=False)  # what asks for the body will never know it
    decision = policy.decide(headed)
    if type(decision.action) is Allow:
        decision = policy.protect(headed, (*findings, too_large(length)), (), decision)
    return decision, False


def too_large(size: int) -> Finding:
    """Return what a message of `size` bytes, or of that at least, is found to be."""
    return Finding(Kind.TOO_LARGE, f"{size} bytes", CONTENT)


def _length(tx: Transaction) -> int | None:
    message = tx.response if tx.point is Point.RESPMOD else tx.request
    return None if message is None else content_length(message.headers)


def carry_out(
    tx: Transaction,
    decision: Decision,
    policy: Policy,
    pages: Pages,
    decision_id: str,
    *,
    marks_connect: bool,
) -> Outcome:
    """Give the answer that carries `decision` out."""
    action = decision.action
    request = tx.request
    tunnel = None  # the CONNECT to mark
    closes = False
    if request is not None and tx.point is _REQMOD and request.method.upper() in TUNNEL_METHODS:
        closes = True
        ends = isinstance(decision.rule, TrafficRule) and decision.rule.ends_connect
        if marks_connect and request.method == "CONNECT" and not ends:  # nothing to decrypt behind a NONE
            tunnel = request
    if type(action) in _PASSING:
        return Outcome(decision, _VIRGIN) if tunnel is None else _let_through(decision, tx, tunnel, policy)
    values = _values(tx, decision, decision_id, closes=closes)
    if isinstance(action, Redirect) and follows_redirects(request, fits=pages.fits):
        location = pages.location(action.template, values).encode("ascii")
        if not _leads_back(location, tx, decision, policy):
            if tunnel is not None:
                return Outcome(decision, _marked(tunnel, VERDICT, b"redirect", ((LOCATION, location),)))
            return Outcome(decision, _response(redirect_reply(location, tx, close=closes)))
        decision = replace(decision, action=Block())
    if tunnel is not None and isinstance(decision.action, Block):
        fields = ((PAGE, pages.block(values)), *infection_headers(decision))
        return Outcome(decision, _marked(tunnel, VERDICT, b"block", fields))
    if request is not None and pages.fits and is_preflight(request) and _stays_blocked(tx, request, policy):
        return Outcome(decision, UseAdapted(preflight_reply(request), None, True))
    reply = blocked_reply(tx, lambda: pages.block(values), decision_id, fits=pages.fits, close=closes)
    return Outcome(decision, UseAdapted(*reply, True, infection_headers(decision)))


def redirect_location(tx: Transaction, action: Redirect, decision: Decision, decision_id: str) -> str:
    """Return where the rule that decided redirects `tx` to, whether or not the redirect is of use."""
    closes = tx.request is not None and tx.point is _REQMOD and tx.request.method.upper() in TUNNEL_METHODS
    return Pages.location(action.template, _values(tx, decision, decision_id, closes=closes))


def _values(tx: Transaction, decision: Decision, decision_id: str, *, closes: bool) -> dict[str, str]:
    url = display_url(tx)
    if closes and isinstance(decision.action, Block | Redirect):
        url = _https_url(url)
    return page_values(tx=tx, decision=decision, decision_id=decision_id, url=url)


def _https_url(authority: str) -> str:
    """What the user asked for when his browser asked for a tunnel to `authority`: the site, by https."""
    return f"https://{authority.removesuffix(':443')}/"


def display_url(tx: Transaction) -> str:
    """The request's URL for people: normal form, without userinfo; as it came where it has no form."""
    request = tx.request
    if request is None:
        return ""
    try:
        return request.url.text
    except ValueError:
        target = request.target  # where userinfo ends in it is anyone's guess: nothing before an @ stays
        scheme = _SCHEME.match(target) if "@" in target else None
        return (scheme[0] if scheme else "") + target.rpartition("@")[2]


def _let_through(decision: Decision, tx: Transaction, request: RequestHead, policy: Policy) -> Outcome:
    tls = policy.decide_tls(tx)
    action = tls.action
    if action == "bump":  # what the fragment does with an unmarked CONNECT
        plain = _FORGED.sub(b"", request.raw)  # behind any other Squid a client could set our marks itself
        answer = _VIRGIN if plain == request.raw else UseAdapted(plain, None, False)
        return Outcome(decision, answer, tls)
    if action == "splice_if_sni_matches" and tx.sni is not None and normal_host(tx.sni) == request.url.host:
        action = "splice"  # Squid asks twice; the second time it knows the name, and only this is a yes
    return Outcome(decision, _marked(request, BUMP, action.encode("ascii"), ()), tls)


def _marked(
    request: RequestHead, name: bytes, value: bytes, reply_headers: tuple[tuple[bytes, bytes], ...]
) -> UseAdapted:
    raw = _FORGED.sub(b"", request.raw)
    return UseAdapted(raw[:-2] + name + b": " + value + b"\r\n\r\n", None, False, reply_headers)


def _response(reply: tuple[bytes, bytes | None]) -> UseAdapted:
    return UseAdapted(*reply, True)


def _leads_back(location: bytes, tx: Transaction, decision: Decision, policy: Policy) -> bool:
    """Whether the rule that redirects meets its own target: a browser would go round until it gives up."""
    if tx.request is None:
        return False
    try:
        following = request_next(tx.request, location)
        return any(policy.decide(_instead(tx, each)).rule is decision.rule for each in following)
    except HeadError:
        return False  # a browser shows what it thinks of such a target


def _stays_blocked(tx: Transaction, request: RequestHead, policy: Policy) -> bool:
    """Whether what a preflight asks about is blocked too: only then may we answer for its server."""
    if tx.point is not _REQMOD:
        return False
    try:
        action = policy.decide(_instead(tx, request_inside(request))).action
    except HeadError:
        return False
    return type(action) not in _PASSING


def _instead(tx: Transaction, request: RequestHead) -> Transaction:
    """The same client's next request; it may use another tunnel, and lead to another address."""
    return Transaction(
        _REQMOD, tx.client, request, proxy_port=tx.proxy_port, now=tx.now, body_follows=tx.body_follows
    )
