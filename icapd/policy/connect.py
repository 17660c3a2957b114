"""What becomes of a CONNECT, as told to administrators; and which only open for what is asked inside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from icapd.http import HeadError, RequestHead
from icapd.policy.rules import Allow, Block, Bypass, Decision, Redirect, Refuse, TrafficRule

if TYPE_CHECKING:
    from icapd.policy.model import Policy
    from icapd.policy.rules import TlsDecision
    from icapd.transaction import Transaction

_PASSING = (Allow, Bypass)


def is_for_inner(policy: Policy, tx: Transaction, decision: Decision) -> bool:
    """Tell whether the CONNECT `tx`, let through by `decision`, opens only for a request inside.

    So it is where a rule could not be told yet, and where the site's own page would be denied: a rule that
    excludes CONNECT, or a bypass of it. Where names are not known yet nothing can be told.
    """
    if not isinstance(decision.action, _PASSING) or tx.nameless or tx.request is None:
        return False
    if decision.undecided is not None:
        return True
    try:
        inner = replace(tx, request=_page(tx.request), misuse=None)
        return not isinstance(policy.decide(inner).action, _PASSING)
    except HeadError:
        return False


def _page(connect: RequestHead) -> RequestHead:
    """Return the request for the front page of the site that `connect` opens a tunnel to."""
    target = connect.url
    host = f"[{target.host}]" if ":" in target.host else target.host
    line = f"GET https://{host}:{target.port}/ HTTP/1.1\r\n"
    return RequestHead(f"{line}Host: {host}:{target.port}\r\n\r\n".encode("latin-1"))


@dataclass(frozen=True, slots=True)
class Effect:
    """What a CONNECT comes to: in the browser, under whose certificate, and at the server.

    `certificate` is "icapd's CA", "the server's" or None; `opens` says what a bypass leaves unlooked at.
    """

    browser: str
    certificate: str | None
    contacted: bool
    opens: str | None = None


_OWN = "the bump CA's"
_SERVERS = "the server's own"
_NOTHING = "its own error (ERR_TUNNEL_CONNECTION_FAILED); no page"


def effect(
    decision: Decision, tls: TlsDecision | None, *, location: str | None, bumps: bool, inner: bool
) -> Effect:
    """Tell what the CONNECT comes to. `bumps`: on a port with ssl-bump. `inner`: as `is_for_inner` says."""
    denied = _denied(decision, location, bumps=bumps)
    return _let_through(decision, tls, bumps=bumps, inner=inner) if denied is None else denied


def _denied(decision: Decision, location: str | None, *, bumps: bool) -> Effect | None:
    action, rule = decision.action, decision.rule
    ends = not bumps or (isinstance(rule, TrafficRule) and rule.ends_connect)
    if isinstance(action, Refuse) or (isinstance(action, (Block, Redirect)) and ends):
        return Effect(_NOTHING, None, contacted=False)
    if isinstance(action, Redirect) and location is not None:
        return Effect(f"a redirect (302) to {location}, inside the tunnel", _OWN, contacted=False)
    if isinstance(action, Block | Redirect):  # a redirect that leads back is not sent
        return Effect("the block page (403), inside the tunnel", _OWN, contacted=False)
    return None


def _let_through(decision: Decision, tls: TlsDecision | None, *, bumps: bool, inner: bool) -> Effect:
    done = "bump" if tls is None else tls.action
    opens = _opened(done if bumps else "splice") if isinstance(decision.action, Bypass) else None
    if not bumps or done in {"splice", "splice_if_sni_matches"}:
        return Effect("the site, unread by anybody between", _SERVERS, contacted=True, opens=opens)
    if done == "terminate":
        return Effect("its own error: the connection ends before anything is sent", None, contacted=False)
    if inner:
        text = "what the requests inside are answered; nothing is sent until one is allowed"
        return Effect(text, _OWN, contacted=False, opens=opens)
    return Effect("the site, each request inside asked about", _OWN, contacted=True, opens=opens)


def _opened(tls: str) -> str:
    """Say what a bypassed CONNECT leaves out."""
    if tls == "terminate":
        return "nothing: a tls rule ends it"
    if tls == "bump":
        return (
            "access rules and scans of the CONNECT itself; requests inside are asked about, so a program "
            "that speaks no HTTP or refuses the certificate gets nowhere"
        )
    return "the whole tunnel: nothing inside is ever asked about or scanned, whatever is sent through it"
