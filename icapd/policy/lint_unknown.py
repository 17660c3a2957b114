"""Rules that must wait for the response, and so let requests out that a lower rule would block."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from icapd.policy.study import PASSING
from icapd.transaction import Point

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.policy.finding import Finding
    from icapd.policy.model import TrafficRule
    from icapd.policy.question import Question
    from icapd.policy.study import Studied, Study

_OF_RESPONSE = frozenset(
    {"mime", "file_type", "size", "content_length", "md5", "sha256", "direction", "header", "file_name"}
)
_UNREAD = frozenset({"splice", "splice_if_sni_matches"})
MAX_PAIRS = 400  # lower rules tried for one rule that waits


def lint_unknown(study: Study) -> Iterator[Finding]:
    """Yield findings on rules whose truth is unknown when a request comes."""
    waiting = [one for one in study.studied if _waits(one.rule)]
    for one in waiting:
        for lower in islice(_below(study, one), MAX_PAIRS):
            question = _let_out(study, one.rule, lower.rule)
            if question is not None:
                yield _finding(study, one.rule, lower.rule, question)
                break
    for one in study.studied:
        if one.ends and one.question is not None:
            yield from _unread_tunnel(study, one, one.question)


def _waits(rule: TrafficRule) -> bool:
    parts = (rule.when, *rule.unless)
    return any(each.criterion in _OF_RESPONSE for part in parts for each in part)


def _below(study: Study, one: Studied) -> Iterator[Studied]:
    for lower in study.studied[one.number + 1 :]:
        if lower.rule.stage == one.rule.stage and lower.ends:
            yield lower


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


def _finding(study: Study, waiting: TrafficRule, lower: TrafficRule, question: Question) -> Finding:
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
    tunnel = study.tunnel(one)
    if tunnel is not None:
        connect, decision = tunnel.connect, tunnel.decision
    elif question.is_connect and one.decision is not None:
        connect, decision = question, one.decision
    else:
        return
    other = decision.undecided
    if other is None or other is one.rule or not isinstance(decision.action, PASSING):
        return
    if study.next_after(other, connect) is not one.rule or not study.witnesses.truth(one.rule, connect):
        return
    tls = study.decide_tls(connect)
    if tls.action in _UNREAD:
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
