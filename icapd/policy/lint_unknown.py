"""Rules that must wait for the response, and so let requests out that a lower rule would block."""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING

from icapd.policy.study import PASSING
from icapd.transaction import Point

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.policy.finding import Finding
    from icapd.policy.question import Question
    from icapd.policy.rules import Rule, TrafficRule
    from icapd.policy.study import Studied, Study

_OF_RESPONSE = frozenset(
    {"mime", "file_type", "size", "content_length", "md5", "sha256", "direction", "header", "file_name"}
)
_UNREAD = frozenset({"splice", "splice_if_sni_matches"})
_OF_HOST = frozenset({"host", "url", "list", "category", "homograph"})
MAX_PAIRS = 2_000  # of a rule that waits and one below it, tried by a request made for both


def lint_unknown(study: Study) -> Iterator[Finding]:
    """Yield findings on rules whose truth is unknown when a request comes."""
    found = _by_own_requests(study)
    ends = [one for one in study.studied if one.ends]
    hostless = [one for one in ends if not _names_hosts(one)]
    tries = MAX_PAIRS
    for one in study.studied:
        if id(one.rule) in found or not _waits(one.rule):
            continue
        for lower in _below(one, ends, hostless):
            if not tries:
                break
            tries -= 1
            question = _let_out(study, one.rule, lower.rule)
            if question is not None:
                found[id(one.rule)] = one.rule, lower.rule, question
                break
    for waiting, lower_rule, question in found.values():
        yield _finding(study, waiting, lower_rule, question)
    for one in study.studied:
        if one.ends and one.question is not None:
            yield from _unread_tunnel(study, one, one.question)


Found = tuple["Rule", "Rule", "Question"]


def _by_own_requests(study: Study) -> dict[int, Found]:
    """Return, by the id of each rule that waits, a rule below whose own request it lets out."""
    found: dict[int, Found] = {}
    for one in study.studied:
        if not one.ends or one.question is None or one.question.response is not None or one.is_reached:
            continue
        decision = one.decision
        waiting = None if decision is None else decision.undecided
        if decision is None or waiting is None or waiting is one.rule or id(waiting) in found:
            continue
        if waiting.stage != one.rule.stage or not _waits(waiting) or not isinstance(decision.action, PASSING):
            continue
        if study.next_after(waiting, one.question) is one.rule:
            found[id(waiting)] = waiting, one.rule, one.question
    return found


def _waits(rule: Rule) -> bool:
    parts = (rule.when, *rule.unless)
    return any(each.criterion in _OF_RESPONSE for part in parts for each in part)


def _names_hosts(one: Studied) -> bool:
    return any(each.criterion in _OF_HOST for each in one.rule.when)


def _below(one: Studied, ends: list[Studied], hostless: list[Studied]) -> Iterator[Studied]:
    """Yield the rules below that block, but those that name other hosts: a request for both is none."""
    among = hostless if _names_hosts(one) else ends
    start = bisect_right(among, one.number, key=lambda each: each.number)
    return (lower for lower in islice(among, start, None) if lower.rule.stage == one.rule.stage)


def _let_out(study: Study, waiting: TrafficRule, lower: TrafficRule) -> Question | None:
    """Return a request that passes since `waiting` is unknown, though `lower` holds for it already."""
    also = [one for one in waiting.when if one.criterion not in _OF_RESPONSE]
    for question in study.witnesses.for_rule(lower, *also, limit=2):
        if question.response is not None:
            return None  # the lower rule waits for the response too
        decision = study.decide_at(question, Point.REQMOD)
        if decision.undecided is waiting and isinstance(decision.action, PASSING):
            return question if study.next_after(waiting, question) is lower else None
    return None


def _finding(study: Study, waiting: Rule, lower: Rule, question: Question) -> Finding:
    return study.finding(
        waiting,
        "warning",
        "lets-out",
        f"rule {waiting.name!r} lets requests out that {lower.name!r} ({lower.source}) would block",
        "it asks for what only the response tells, so at the request neither it nor any rule below it is "
        "decided, and the request reaches the server",
        "move it below the rules that a request alone decides",
        proof=question,
    )


def _unread_tunnel(study: Study, one: Studied, question: Question) -> Iterator[Finding]:
    """Find a rule that is unknown at a CONNECT, above one that would have ended it, before a splice."""
    before = study.connect(one)
    if before is not None:
        connect, decision = before.connect, before.decision
    elif question.is_connect and one.decision is not None:
        connect, decision = question, one.decision
    else:
        return
    other = decision.undecided
    if other is None or other is one.rule or not isinstance(decision.action, PASSING):
        return
    if study.decide_tls(connect).action not in _UNREAD:
        return
    if study.next_after(other, connect) is not one.rule or not study.witnesses.truth(one.rule, connect):
        return
    if before is None or study.tunnel(one) is not None:
        yield study.finding(
            other,
            "warning",
            "opens-tunnel",
            f"rule {other.name!r} opens a tunnel that {one.rule.name!r} ({one.rule.source}) would have ended",
            f"it is unknown at CONNECT {connect.uri}, so the rules below it wait for what is inside, and the "
            "tunnel is spliced: nothing inside is ever asked about",
            "decrypt the host (action bump), or move the rule below the other",
            proof=connect,
        )
