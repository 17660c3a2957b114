"""An explanation as a person reads it: the decision first, then every rule that had a say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.adaptation import display_url
from icapd.events.formats import plain
from icapd.policy.explain import (
    Asked,
    Explanation,
    action_name,
    connect_before,
    effect_of,
    shown,
    waits_for,
)
from icapd.policy.protection import DEFAULT_STAGE
from icapd.policy.rules import Refuse
from icapd.verdicts import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.cli.subject import Subject
    from icapd.policy.rules import Check, Step

MAX_STEPS = 20  # rules shown in full whatever they say; with more, only those that had a say
_MAX_VALUE = 76  # characters of one value
_WORDS = {True: "yes", False: "no", None: "unknown"}
_POINTS = {"connect": "asked for the tunnel (CONNECT)", "reqmod": "asked for the request (REQMOD)"}
_LATER = "asked for the response (RESPMOD)"


def as_text(explanation: Explanation, subject: Subject, *, whole: bool = False) -> str:
    """Return the text, several lines without a last newline. Control characters are shown by number."""
    lines = list(_head(explanation, subject))
    for asked in explanation.asked:
        lines += ["", *_point(asked, whole=whole)]
    return "\n".join(map(plain, lines))


def _head(explanation: Explanation, subject: Subject) -> Iterator[str]:
    last = explanation.last
    decision, question = last.decision, explanation.question
    asked_for = question.uri if last.tx is None else display_url(last.tx)
    yield f"{action_name(decision).upper()}  {question.method} {asked_for}"
    if decision.rule is not None:
        yield f"  rule       {decision.rule.name} ({decision.stage}, {decision.rule.source})"
    elif isinstance(decision.action, Refuse):
        yield f"  because    {decision.action.reason}"
    elif decision.stage == DEFAULT_STAGE:
        yield "  rule       none: the default protection policy"
    else:
        yield "  rule       none matched"
    if decision.category:
        yield f"  category   {decision.category}"
    if decision.workspace:
        yield f"  workspace  {decision.workspace}"
    sent = subject.sent(last)
    yield f"  user gets  {shown(last, location=sent.location, bumps=subject.bumps, reply=sent.reply)}"
    came = effect_of(last, location=sent.location, bumps=subject.bumps)
    if came is not None:
        yield f"  browser    {came.browser}"
        yield f"  certified  {came.certificate or 'by nobody: no TLS comes about'}"
        yield f"  server     {'is contacted' if came.contacted else 'is not contacted'}"
        yield from () if came.opens is None else [f"  bypass     opens {came.opens}"]
    if last.tls is not None:
        by = "no rule" if last.tls.rule is None else f"{last.tls.rule.name}, {last.tls.rule.source}"
        yield f"  tunnel     {last.tls.action} ({by})"
    yield from _scanning(explanation, subject)
    for rule in decision.shadow:
        yield f"  shadow     {rule.name} would have decided ({rule.source})"
    yield from _before(explanation, subject)
    if decision.undecided is not None:
        unknown = ", ".join(waits_for(decision)) or "something"
        yield f"  undecided  {decision.undecided.name} ({decision.undecided.source}) asks for {unknown},"
        yield f"             not known yet: {_next(last)}"


def _scanning(explanation: Explanation, subject: Subject) -> Iterator[str]:
    """Say which rule of protection applies, where the policy has any, and what becomes of what was found."""
    decision, applies = explanation.last.decision, explanation.protection
    scanned = explanation.question.scanned
    if applies is None or not (subject.policy.scans or scanned.findings or scanned.errors):
        return
    stage, rule, blocks = applies
    named = stage if rule is None else f"{rule.name} ({stage}, {rule.source})"
    skips = ", ".join(kind for kind in Kind if kind not in blocks) or "nothing"
    yield f"  scanned    {named}"
    yield f"             blocks {', '.join(kind for kind in Kind if kind in blocks) or 'nothing'}"
    yield f"             skips {skips}"
    if rule is not None and rule.adapters is not None:
        yield f"             hears {', '.join(rule.adapters)} alone, and content inspection"
    for one in decision.findings:
        where = f" in {one.where}" if one.where else ""
        what = "blocked" if one in decision.violations else "skipped"
        yield f"  found      {one.kind} {one.threat} (by {one.by}){where}: {what}"
    for error in decision.errors:
        yield f"  unscanned  {error.by} could not look, on_error: {error.on_error}"


def _before(explanation: Explanation, subject: Subject) -> Iterator[str]:
    """Say where the CONNECT before an https request keeps it from ever being made or seen."""
    connect = connect_before(explanation.question)
    if connect is None:
        return
    first = subject.explain(connect).last
    if first.passes and (first.tls is None or first.tls.action == "bump"):
        return
    rule = first.decision.rule if not first.passes or first.tls is None else first.tls.rule
    by = "" if rule is None else f" by {rule.name} ({rule.source})"
    word = action_name(first.decision) if not first.passes or first.tls is None else first.tls.action
    yield f"  but first  CONNECT {connect.uri}: {word}{by}, so this request is never made or never seen:"
    yield f"             {shown(first, location=subject.sent(first).location, bumps=subject.bumps)}"


def _next(asked: Asked) -> str:
    if not asked.passes:
        return "decided without it"
    if asked.name == "connect":
        return "the requests inside the tunnel decide, if it is decrypted"
    return "the response decides" if asked.name == "reqmod" else "nothing later will know it"


def _point(asked: Asked, *, whole: bool) -> Iterator[str]:
    yield f"{_POINTS.get(asked.name, _LATER)}:"
    steps = [*asked.decision.trace, *(asked.tls.trace if asked.tls is not None else ())]
    if not steps:
        yield "  no rule was looked at"
        return
    left_out = 0
    for number, step in enumerate(steps):
        if whole or len(steps) <= MAX_STEPS or number == len(steps) - 1 or _has_say(step):
            if left_out:
                yield f"  … {left_out} rules of which nothing holds (--all shows them)"
            left_out = 0
            yield from _step(step)
        else:
            left_out += 1
    if left_out:
        yield f"  … {left_out} rules of which nothing holds (--all shows them)"


def _has_say(step: Step) -> bool:
    return step.truth is not False


def _step(step: Step) -> Iterator[str]:
    yield f"  {_WORDS[step.truth]:8} {step.stage}: {step.rule.name} ({step.rule.source})"
    if not step.checks:
        yield f"{'':11}no condition: holds always"
    for one in step.checks:
        yield f"{'':11}{_check(one)}"


def _check(one: Check) -> str:
    part = "" if one.part == "when" else f"{one.part}: "
    found = f"is {_cut(one.found)}" if one.found else ("is not known" if one.truth is None else "is none")
    return f"{_WORDS[one.truth]:8} {part}{one.criterion} {_cut(', '.join(one.wanted))}; {found}"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 1] + "…"
