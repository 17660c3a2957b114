"""Redirects whose target the same policy blocks, or redirects again and again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from icapd.http import HeadError
from icapd.policy.explain import connect_before
from icapd.policy.rules import Decision, Redirect
from icapd.policy.study import PASSING
from icapd.transaction import Point

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.policy.finding import Finding
    from icapd.policy.question import Question
    from icapd.policy.study import Studied, Study

MAX_HOPS = 6  # redirects that are followed; browsers give up at about 20


def lint_redirects(study: Study) -> Iterator[Finding]:
    """Yield findings on redirect rules, each followed as a browser would."""
    for one in study.studied:
        if isinstance(one.rule.action, Redirect) and one.is_reached and one.question is not None:
            yield from _follow(study, one, one.question)


def _follow(study: Study, one: Studied, question: Question) -> Iterator[Finding]:
    seen = {id(one.rule)}
    for _ in range(MAX_HOPS):
        target = _target(study, question)
        if target is None:
            return
        stopped, decision = _meets(study, target)
        if isinstance(decision.action, PASSING):
            return
        if not isinstance(decision.action, Redirect):
            yield _blocked(study, one, target, stopped, decision)
            return
        if id(decision.rule) in seen:
            yield _loop(study, one, target, stopped, decision)
            return
        seen.add(id(decision.rule))
        question = stopped


def _target(study: Study, question: Question) -> Question | None:
    """Return the request that a browser makes when `question` is redirected."""
    try:
        tx = question.transaction(Point.REQMOD)
    except HeadError:
        return None
    location = study.locate(tx, study.decide(question))
    return replace(question, method="GET", uri=location, headers=(), response=None) if location else None


def _meets(study: Study, target: Question) -> tuple[Question, Decision]:
    """Return what a browser's request meets: its CONNECT if that is ended, else itself."""
    connect = connect_before(target)
    if connect is not None:
        decision = study.decide(connect)
        if not isinstance(decision.action, PASSING):
            return connect, decision
    return target, study.decide(target)


def _by(decision: Decision) -> str:
    rule = decision.rule
    return "as ill-formed" if rule is None else f"by {rule.name!r} ({rule.source})"


def _blocked(study: Study, one: Studied, target: Question, stopped: Question, decision: Decision) -> Finding:
    return study.finding(
        one.rule,
        "warning",
        "redirect-blocked",
        f"rule {one.rule.name!r} redirects to {target.uri}, which is blocked",
        f"{stopped.method} {stopped.uri} is blocked {_by(decision)}: the user sees the block page instead",
        "except the target's host from that rule, or allow it above",
        proof=stopped,
    )


def _loop(study: Study, one: Studied, target: Question, stopped: Question, decision: Decision) -> Finding:
    return study.finding(
        one.rule,
        "error",
        "redirect-loop",
        f"rule {one.rule.name!r} redirects in a circle",
        f"{target.uri} is redirected again {_by(decision)}",
        "except the target's host from the rule (`unless: [{host: [...]}]`)",
        proof=stopped,
    )
