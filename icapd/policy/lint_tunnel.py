"""What CONNECT does to rules: Squid asks about the tunnel first, and that answer is what the user sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.policy.match import MethodIs
from icapd.policy.rules import Block, Bypass, Redirect, all_of
from icapd.policy.study import PASSING
from icapd.transaction import Point

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.policy.finding import Finding
    from icapd.policy.match import Matcher
    from icapd.policy.question import Question
    from icapd.policy.rules import TlsDecision
    from icapd.policy.study import Studied, Study

_UNREAD = frozenset({"splice", "splice_if_sni_matches"})


def lint_tunnels(study: Study) -> Iterator[Finding]:
    """Yield findings on rules that a CONNECT, or the tunnel it opens, keeps from doing their work."""
    for one in study.studied:
        if isinstance(one.rule.action, Bypass):
            yield from _bypass(study, one)
        elif one.ends:
            if one.rule.ends_connect:
                yield from _ends_nothing(study, one)
            yield from _ending(study, one)


def _ends_nothing(study: Study, one: Studied) -> Iterator[Finding]:
    """Look at a rule with `connect: end` through the CONNECT of an https request it decides."""
    tunnel = study.tunnel(one)
    if tunnel is not None and study.witnesses.truth(one.rule, tunnel.connect):
        return
    yield study.finding(
        one.rule,
        "warning",
        "connect-unused",
        f"rule {one.rule.name!r} has `connect: end`, but denies no CONNECT",
        "a CONNECT has host and port, no path, no response and no method but CONNECT: the rule waits for the "
        "request inside the tunnel, which gets the page",
        "remove `connect: end`, or ask by `host` alone",
        proof=None if tunnel is None else tunnel.connect,
    )


def _ending(study: Study, one: Studied) -> Iterator[Finding]:
    """Look at a rule that blocks or redirects, through the CONNECT of an https request it decides."""
    before = study.connect(one)
    if before is None:
        return
    connect, decision = before.connect, before.decision
    if not isinstance(decision.action, PASSING):
        differs = decision.rule is not one.rule and _differs(one, decision.action)
        if differs and _decides_inside(study, one):
            yield _caught(study, one, decision.rule, connect)
        return
    tls = study.decide_tls(connect)
    if _excludes_connect(study, one, connect):
        if _decides_inside(study, one):
            yield _excluded(study, one, connect, tls)
    elif (
        tls.action in _UNREAD and not study.witnesses.truth(one.rule, connect) and _decides_inside(study, one)
    ):
        yield _spliced(study, one, connect, tls)


def _decides_inside(study: Study, one: Studied) -> bool:
    """Whether the rule decides its request by https too; asked last, since few rules get so far."""
    tunnel = study.tunnel(one)
    if tunnel is None:
        return False
    return one.is_reached if tunnel.inner is one.question else study.decide(tunnel.inner).rule is one.rule


def _differs(one: Studied, action: object) -> bool:
    """Whether the user sees something else than the rule means to show."""
    if isinstance(one.rule.action, Redirect):
        return one.rule.action != action
    return not isinstance(action, Block)


def _caught(study: Study, one: Studied, other: object, connect: Question) -> Finding:
    does = "redirects" if isinstance(one.rule.action, Redirect) else "blocks"
    name, source = getattr(other, "name", "a rule"), getattr(other, "source", "")
    return study.finding(
        one.rule,
        "warning",
        "connect-caught",
        f"rule {one.rule.name!r} {does}, but over HTTPS {name!r} ({source}) ends its CONNECT first",
        f"Squid asks about CONNECT {connect.uri} before any request inside; what that rule shows is what "
        "the user sees",
        f"exclude the host from {name!r}, or move {one.rule.name!r} above it without criteria that a "
        "CONNECT lacks",
        proof=connect,
    )


def _spliced(study: Study, one: Studied, connect: Question, tls: TlsDecision) -> Finding:
    by = "" if tls.rule is None else f" by {tls.rule.name!r} ({tls.rule.source})"
    return study.finding(
        one.rule,
        "warning",
        "spliced",
        f"rule {one.rule.name!r} cannot act on HTTPS to {connect.uri}",
        f"that tunnel is spliced{by}, unread: icapd sees its CONNECT alone, and the rule needs more",
        "decrypt the host (action bump), or block it whole by `host`",
        proof=connect,
    )


def _excludes_connect(study: Study, one: Studied, connect: Question) -> bool:
    """Whether `unless: {method: CONNECT}` is what lets the tunnel through."""
    entries = [entry for entry in one.rule.unless if any(map(_asks_for_connect, entry))]
    facts = study.witnesses.facts(connect, Point.REQMOD) if entries else None
    if facts is None or not all_of(one.rule.when, facts, strict=one.rule.exempts):
        return False
    return any(all_of(entry, facts, strict=not one.rule.exempts) for entry in entries)


def _asks_for_connect(matcher: Matcher) -> bool:
    return isinstance(matcher, MethodIs) and "CONNECT" in matcher.methods


def _excluded(study: Study, one: Studied, connect: Question, tls: TlsDecision) -> Finding:
    if tls.action in _UNREAD:
        cost = f"the tunnel to {connect.uri} opens and is spliced: this rule blocks nothing inside"
    else:
        cost = (
            f"the tunnel to {connect.uri} opens, and Squid must decrypt it for the rule to act; where it "
            "does not (another port, a program that ends the handshake), the site is reached"
        )
    return study.finding(
        one.rule,
        "warning",
        "excludes-connect",
        f"rule {one.rule.name!r} excludes CONNECT",
        cost,
        "remove the exclusion: behind icapd's squid.conf the CONNECT itself shows the page or redirect",
        proof=connect,
    )


def _bypass(study: Study, one: Studied) -> Iterator[Finding]:
    methods = next((each.methods for each in one.rule.when if isinstance(each, MethodIs)), frozenset())
    if "CONNECT" not in methods:
        return
    for draft in study.witnesses.drafts(one.rule.when):
        draft.method, draft.port = "CONNECT", draft.port or 443
        connect = draft.question()
        if study.decide(connect).rule is not one.rule:
            continue
        tls = study.decide_tls(connect).action
        after = (
            "it is spliced, so nothing inside is ever looked at"
            if tls in _UNREAD
            else "only requests inside it are, if Squid can decrypt them"
        )
        yield study.finding(
            one.rule,
            "warning",
            "bypasses-connect",
            f"bypass rule {one.rule.name!r} opens tunnels unscanned",
            f"CONNECT {connect.uri} meets no access rule and no scan, whatever its host and port; {after}",
            "remove CONNECT from it: behind icapd's squid.conf a blocked CONNECT shows its page or redirect",
            proof=connect,
        )
        return
