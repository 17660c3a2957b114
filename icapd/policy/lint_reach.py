"""Rules that are never reached: covered by an earlier one, contradicted by it, or never true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.policy.cover import covers, excepts_itself, in_every_case
from icapd.policy.match import HostIs, MethodIs, SchemeIs, UrlIs
from icapd.policy.study import AFTER_CONNECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.policy.finding import Finding
    from icapd.policy.match import Matcher
    from icapd.policy.question import Question
    from icapd.policy.rules import Rule
    from icapd.policy.study import Studied, Study


def lint_reach(study: Study) -> Iterator[Finding]:
    """Yield findings on rules that cannot decide anything."""
    for one in study.studied:
        reason = never(study, one.rule)
        if reason is not None:
            yield study.finding(
                one.rule, "warning", "never-matches", *reason, proof=_nearest(study, one.rule)
            )
        elif not one.is_reached:
            yield from _shadowed(study, one)
    yield from _tls(study)


def never(study: Study, rule: Rule) -> tuple[str, str, str] | None:
    """Return what, why and how to mend, for a rule that no request can satisfy."""
    what = f"rule {rule.name!r} can never match"
    number = excepts_itself(rule)
    if number is not None:
        why = f"its `unless` entry {number} holds wherever its `when` does{_save(rule)}"
        return what, why, "narrow the exception or widen the conditions"
    empty = _empty_list(study, rule)
    if empty is not None:
        return (
            what,
            f"it asks for the list {empty!r}, which has no entries",
            "fill the list or remove the rule",
        )
    methods = next((one.methods for one in rule.when if isinstance(one, MethodIs)), frozenset())
    if methods == frozenset({"CONNECT"}) or rule.stage == "tls":
        return _never_at_connect(rule, what)
    return _apart(rule, what)


def _save(rule: Rule) -> str:
    """Return what a rule that blocks still catches: it takes any name of a message, its exceptions all."""
    return "" if rule.exempts else ", save for requests whose names disagree"


def _never_at_connect(rule: Rule, what: str) -> tuple[str, str, str] | None:
    lacking = [one.criterion for one in rule.when if is_after_connect(one)]
    asks = "a tls rule is asked at CONNECT" if rule.stage == "tls" else "it asks for CONNECT"
    if lacking:
        return (
            what,
            f"{asks}, which has no {' and no '.join(lacking)}: only host and port are known",
            "remove the criterion, or the method"
            if rule.stage != "tls"
            else "decide by host here; paths belong into `access`",
        )
    schemes = next((one.schemes for one in rule.when if isinstance(one, SchemeIs)), None)
    if schemes is not None and "https" not in schemes:
        return what, f"{asks}, which counts as https", "remove the criterion `scheme`"
    return None


def is_after_connect(matcher: Matcher) -> bool:
    """Whether a CONNECT can never satisfy the criterion."""
    if isinstance(matcher, UrlIs):
        return all(pattern.needs_path for pattern in matcher.patterns)
    if matcher.criterion == "direction":
        return all(value.lower() == "response" for value in matcher.wanted)
    return matcher.criterion in AFTER_CONNECT


def _apart(rule: Rule, what: str) -> tuple[str, str, str] | None:
    """Find a `host` and a `url` that name different hosts."""
    hosts = next((one for one in rule.when if isinstance(one, HostIs)), None)
    urls = next((one for one in rule.when if isinstance(one, UrlIs)), None)
    if hosts is None or urls is None or hosts.networks:
        return None
    for pattern in urls.patterns:
        names = {*hosts.domains, *hosts.exact}
        near = any(pattern.host == one or pattern.host.endswith(f".{one}") for one in names)
        if near or (pattern.subdomains and any(one.endswith(f".{pattern.host}") for one in names)):
            return None
    why = f"its `host` and its `url` name different hosts, and all criteria must hold{_save(rule)}"
    return what, why, "remove one of the two, or make two rules of it"


def _empty_list(study: Study, rule: Rule) -> str | None:
    empty = {report.name for report in study.policy.lists.reports if not report.entries}
    for one in rule.when:
        lists: tuple[str, ...] = getattr(one, "lists", one.wanted)
        if one.criterion in {"list", "category"} and lists and empty.issuperset(lists):
            return lists[0]
    return None


def _nearest(study: Study, rule: Rule) -> Question | None:
    """Return the request that comes nearest: it was drafted for the rule, and the rule does not hold."""
    draft = next(study.witnesses.drafts(rule.when), None)
    return None if draft is None else draft.question()


def _shadowed(study: Study, one: Studied) -> Iterator[Finding]:
    decision = one.decision
    other = None if decision is None else decision.rule or decision.undecided
    if one.question is None or other is None or study.numbers.get(id(other), one.number) >= one.number:
        return
    if not covers(other, one.rule):
        return
    same = getattr(other, "action", None) == one.rule.action
    what = f"rule {one.rule.name!r} is never reached"
    but = "" if in_every_case(other, one.rule) else ", save for requests whose names disagree"
    why = f"{other.name!r} ({other.source}) holds wherever it does and comes first{but}"
    if same:
        yield study.finding(
            one.rule, "warning", "shadowed", what, why, "remove it: nothing changes", proof=one.question
        )
    else:
        mend = "move it above the other, or make the other narrower (`unless`)"
        why += ", and says otherwise"
        yield study.finding(one.rule, "warning", "contradicted", what, why, mend, proof=one.question)


def _tls(study: Study) -> Iterator[Finding]:
    rules = study.policy.tls
    numbers = {id(rule): number for number, rule in enumerate(rules)}
    for number, rule in enumerate(rules):
        reason = never(study, rule)
        if reason is not None:
            yield study.finding(rule, "warning", "never-matches", *reason, proof=None)
            continue
        for draft in study.witnesses.drafts(rule.when):
            draft.method, draft.port = "CONNECT", draft.port or 443
            question = draft.question()
            if not study.witnesses.truth(rule, question):
                continue
            other = study.decide_tls(question).rule
            if other is not None and numbers[id(other)] < number and covers(other, rule):
                what = f"tls rule {rule.name!r} is never reached"
                why = f"{other.name!r} ({other.source}) holds wherever it does and comes first"
                mend = "remove it, or move it above the other"
                yield study.finding(rule, "warning", "shadowed", what, why, mend, proof=question)
            break
