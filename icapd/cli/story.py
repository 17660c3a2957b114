"""What `icapd why` tells, in words and as an object."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from icapd.cli import trace
from icapd.events.formats import plain
from icapd.events.rows import moment_of
from icapd.policy.explain import action_name, as_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.cli.subject import Subject
    from icapd.policy.explain import Explanation
    from icapd.reports.joined import Joined
    from icapd.reports.past import Past
    from icapd.reports.recorded import Lacking

Record = dict[str, Any]
_MAX_TEXT = 40  # lines of a rule
_MAX_LINE = 200
_UNCHANGED = 204  # ICAP's status for it
_LATE = "part of it had been passed on before it was blocked: the transfer was cut"
_SCAN = {
    "scanned": "its body was scanned",
    "cached": "its body was known from an earlier scan",
    "skipped": "its body was not to be scanned",
    "error": "its body could not be scanned",
}


@dataclass(frozen=True, slots=True)
class Today:
    """Today's policy: its digest (None, and why not), what it makes of the same facts, the rule as it is."""

    digest: str | None
    fault: str = ""
    explanation: Explanation | None = None
    has_rule: bool = False
    rule_text: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """A decision and all that is known of it. `policy` is the digest of the policy then, `past` that policy.

    `written` is the rule's text as it was, "" where none decided; None if no text was kept.
    """

    record: Record
    policy: str | None
    joined: tuple[Joined, ...]
    past: Past | None
    written: str | None
    explanation: Explanation | None
    lacking: tuple[Lacking, ...]
    today: Today


def as_text(story: Story, subject: Subject | None, *, whole: bool = False) -> str:
    """Return what is told, several lines without a last newline; whatever was recorded cannot break one."""
    lines = [
        *_record(story),
        *_rule(story),
        *_joined(story),
        *_since(story),
        *_lists(story),
        *_lacking(story),
    ]
    text = "\n".join(plain(line) for line in lines)
    if story.explanation is not None and subject is not None:
        text += "\n\nThe policy of then, asked about the facts that were recorded:\n"
        text += trace.as_text(story.explanation, subject, whole=whole)
    return text


def _record(story: Story) -> Iterator[str]:
    record = story.record
    action = str(record.get("action") or record.get("event") or "?")
    what = f"{record.get('method') or ''} {record.get('url') or record.get('host') or ''}".strip()
    yield f"{action.upper()}  {what}"
    yield f"  reference  {record.get('id')}"
    yield f"  when       {record.get('time')}"
    yield f"  who        {_who(record)}"
    yield f"  asked for  {_asked(record)}"
    if record.get("user_agent"):
        yield f"  browser    {record['user_agent']}"
    if record.get("http_status") or record.get("mime"):
        yield f"  response   {record.get('http_status') or ''} {record.get('mime') or ''}".rstrip()
    yield f"  decided    {action}{_by(record)}"
    if record.get("category"):
        yield f"  category   {record['category']}"
    if record.get("workspace"):
        yield f"  workspace  {record['workspace']}"
    yield from _scanning(record)
    for name, stage in (("shadow", ""), ("tls_shadow", "tls ")):
        for one in _objects(record.get(name)):
            would = f"{stage}{one.get('action')} ({one.get('source')})"
            yield f"  shadow     {one.get('rule')} would have: {would}"
    if record.get("tls"):
        yield f"  tunnel     {record['tls']}, by {record.get('tls_rule') or 'no rule'}"
    if not record.get("event"):
        yield f"  answered   {_answered(record)}"
    yield f"  policy     {story.policy or 'of then is not known'}"


def _who(record: Record) -> str:
    user, client = record.get("user"), record.get("client")
    who = f"{user}, from {client}" if user and client else user or client
    return str(who or "not told by Squid, or not recorded")


def _asked(record: Record) -> str:
    if record.get("event"):
        return "a tunnel (an event, no decision)"
    if record.get("point") == "respmod":
        return "the response, which Squid asked about (RESPMOD)"
    tunnel = record.get("method") == "CONNECT"
    return "a tunnel (CONNECT)" if tunnel else "the request, which Squid asked about (REQMOD)"


def _by(record: Record) -> str:
    stage = record.get("stage")
    if record.get("rule"):
        return f', by the rule "{record["rule"]}" ({stage}, {record.get("source")})'
    if stage == "default_protection":
        return ", by the default protection policy (no rule)"
    if record.get("action") == "error":
        return ": icapd failed to decide; its diagnostics say why"
    return f" ({stage}): no rule decided" if stage else ""


def _scanning(record: Record) -> Iterator[str]:
    scan = record.get("scan")
    findings = list(_objects(record.get("findings")))
    if scan or findings:
        found = "" if findings else ", nothing was found"
        yield f"  scanned    {_SCAN.get(str(scan), 'its names and addresses were looked up')}{found}"
    for one in findings:
        where = f" in {one['where']}" if one.get("where") else ""
        yield f"  found      {one.get('kind')} {one.get('threat')} (by {one.get('by')}){where}"
    if record.get("findings_more"):
        yield f"             and {record['findings_more']} more"
    let = record.get("unscanned") or ()
    for one in _objects(record.get("errors")):
        came = "it passed unseen by it" if one.get("by") in let else "that counted against it"
        yield f"  unscanned  {one.get('by')} could not look ({one.get('text')}): {came}"
    if record.get("late"):
        yield f"  late       {_LATE}"


def _objects(value: object) -> Iterator[Record]:
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict):
            yield one


def _answered(record: Record) -> str:
    status = record.get("status")
    if status == 0:
        return "the client left before it was answered"
    went_on = status == _UNCHANGED
    return (
        f"ICAP {status}: {'it went on as it was' if went_on else 'by a message of icapd, or a changed one'}"
    )


def _rule(story: Story) -> Iterator[str]:
    if not story.record.get("rule"):
        return
    yield ""
    if not story.written:
        why = "its policy's text was not kept" if story.past is None else "it is not where the record says"
        yield f"The rule as it was is not known: {why}."
        return
    yield f"The rule as it was ({story.record.get('source')}):"
    lines = story.written.splitlines()
    for line in lines[:_MAX_TEXT]:
        yield f"    {line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 1] + '…'}"
    if len(lines) > _MAX_TEXT:
        yield f"    … {len(lines) - _MAX_TEXT} more lines"


def _joined(story: Story) -> Iterator[str]:
    if story.joined:
        yield ""
        yield "With it:"
    for one in story.joined:
        record = one.record
        when = f"{abs(one.later):.1f} s {'later' if one.later >= 0 else 'earlier'}"
        sure = "" if one.certain else ", probably (same client, user and address)"
        yield f"  {when:14} {one.what}{sure}"
        if record.get("id") != story.record.get("id"):
            yield f"{'':17}{record.get('id')}: {record.get('action')}{_by(record)}"
            yield from (f"{'':15}{line}" for line in _scanning(record))


def _since(story: Story) -> Iterator[str]:
    today, record = story.today, story.record
    yield ""
    if today.digest is None:
        yield f"Today's policy cannot be loaded: {today.fault}"
        return
    if story.policy is None:
        yield f"Whether the policy has changed since is not known; today's is {today.digest}."
    elif today.digest == story.policy:
        yield "The policy is the same today, and so are its lists."
    elif (
        story.past is not None and story.past.policy is not None and story.past.policy.digest == today.digest
    ):
        yield "The rules are the same today; a list of theirs has changed since."
    else:
        yield f"The policy, or a list of it, has changed since: today's is {today.digest}."
        yield from _rule_since(story)
    if today.explanation is None:
        return
    decision = today.explanation.last.decision
    name = None if decision.rule is None else decision.rule.name
    now = action_name(decision) + (
        f' by "{name}" ({decision.stage}, {decision.rule.source})' if decision.rule else ""
    )
    if (action_name(decision), name) == (record.get("action"), record.get("rule")):
        yield f"On the facts that were recorded it decides the same today: {now}."
    elif story.explanation is not None and not _agrees(story.explanation, record):
        yield f"On the facts that were recorded today's says {now}; more was known then (below)."
    elif story.explanation is None:
        yield f"On the facts that were recorded today's says {now}, which may be for want of the others."
    else:
        yield f"On the facts that were recorded it decides otherwise today: {now}."


def _rule_since(story: Story) -> Iterator[str]:
    if not story.record.get("rule") or story.past is None:
        return
    if not story.today.has_rule:
        yield "There is no such rule in it any more."
    elif story.written and story.today.rule_text == story.written:
        yield "This rule reads the same."
    elif story.written and story.today.rule_text:
        yield "This rule reads otherwise today:"
        yield from (f"    {line[:_MAX_LINE]}" for line in story.today.rule_text.splitlines()[:_MAX_TEXT])


def _agrees(explanation: Explanation, record: Record) -> bool:
    """Whether the policy of then, made again, says what was decided."""
    decision = explanation.last.decision
    name = None if decision.rule is None else decision.rule.name
    return (action_name(decision), name) == (record.get("action"), record.get("rule"))


def _lists(story: Story) -> Iterator[str]:
    past = story.past
    if past is None:
        return
    if past.policy is None:
        yield ""
        yield f"The policy of then cannot be made again: {past.fault}"
    elif not past.same and past.policy.lists.names:
        yield ""
        yield "Lists are not kept. They have changed since, so the trace asks those of today."
        if past.gone:
            yield f"Of these, files are gone, and nothing is in them: {', '.join(past.gone)}."


def _lacking(story: Story) -> Iterator[str]:
    if story.explanation is not None and not _agrees(story.explanation, story.record):
        yield ""
        yield "The trace below does not come to what was decided: it lacks facts that were known then."
    if story.lacking:
        yield ""
        yield "Not in the record, though rules ask for it, so that they may have said something else:"
    for one in story.lacking:
        names = ", ".join(f'"{name}"' for name in one.rules[:5])
        more = f" and {len(one.rules) - 5} more" if len(one.rules) > 5 else ""  # noqa: PLR2004  (as many are named)
        yield f"  {one.criterion:14} {one.why}: {names}{more}"


def as_object(story: Story, subject: Subject | None) -> dict[str, Any]:
    """Return what `icapd why --json` prints."""
    past, today = story.past, story.today
    explained = None
    if story.explanation is not None and subject is not None:
        last = story.explanation.last
        explained = as_json(
            story.explanation,
            location=subject.location(last),
            bumps=subject.bumps,
            sent=subject.sent(last),
        )
    decision = None if today.explanation is None else today.explanation.last.decision
    return {
        "id": story.record.get("id"),
        "at": moment_of(story.record.get("time")),
        "record": story.record,
        "policy": story.policy,
        "rule_text": story.written,
        "joined": [
            {"what": one.what, "later": one.later, "certain": one.certain, "record": one.record}
            for one in story.joined
        ],
        "lists": None if past is None else {"same": past.same, "gone": list(past.gone)},
        "fault": None if past is None else past.fault or None,
        "lacking": [asdict(one) for one in story.lacking],
        "agrees": None if story.explanation is None else _agrees(story.explanation, story.record),
        "explanation": explained,
        "today": {
            "policy": today.digest,
            "fault": today.fault or None,
            "changed": None if None in {today.digest, story.policy} else today.digest != story.policy,
            "action": None if decision is None else action_name(decision),
            "rule": None if decision is None or decision.rule is None else decision.rule.name,
            "rule_text": today.rule_text or None,
        },
    }
