"""What a record says of a transaction, as a question to a policy, and which facts it leaves out.

Groups, most headers, and what only a body tells are not in the log. A rule that asks for them is answered as
if there were none, so what a policy says of such a question may not be what it said when it had them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from icapd.events.rows import moment_of
from icapd.policy.protection import asks_body
from icapd.policy.question import Answered, Question
from icapd.policy.scanned import Scanned
from icapd.verdicts import Finding, Kind, ScanError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from icapd.policy import Policy
    from icapd.policy.explain import Explanation
    from icapd.policy.match import Matcher
    from icapd.policy.rules import Rule, Step

Record = dict[str, Any]
_MAX_URL = 4096  # of the log; longer ones were cut
_MAX_NAME = 200  # so were these
_STATUSES = range(100, 600)
_PERHAPS = frozenset({"user_agent", "mime"})  # recorded of what does not just pass
_HEADS = "headers are not recorded"
_BODY = "what a body holds is not recorded"
_NEVER = {
    "user_agent": _HEADS, "header": _HEADS, "request_header": _HEADS, "upgrade": _HEADS, "mime": _HEADS,
    "content_length": _HEADS, "size": _HEADS, "file_name": "a name given in a header is not recorded",
    "file_type": _BODY, "md5": _BODY, "sha256": _BODY, "proxy_port": "Squid's port is not recorded",
    "group": "groups are not recorded, today's are asked",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Withheld:
    """What is kept from records by icapd.yaml, as it is today."""

    query: bool = False
    clients: bool = False
    users: bool = False


@dataclass(frozen=True, slots=True)
class Lacking:
    """A fact that rules ask for and a record does not have: the criterion, why, and which rules."""

    criterion: str
    why: str
    rules: tuple[str, ...]


def question_of(record: Record, known: Callable[[Question], Question]) -> Question | None:
    """Return the question that a record answers, None if it is of no request that can be asked about.

    `known` adds what icapd.yaml says of users.
    """
    url, method = _text(record.get("url")), _text(record.get("method"))
    at, server = moment_of(record.get("time")), _text(record.get("server"))
    if not url or not method or at is None or record.get("event"):
        return None
    question = Question(
        method,
        url,
        at,
        sni=_text(record.get("sni")),
        addresses=(server,) if server else (),
        headers=_field("User-Agent", record.get("user_agent")),
        response=_answered(record) if record.get("point") == "respmod" else None,
        scanned=_scanned(record),
    )
    return known(question).as_user(_text(record.get("client")), _text(record.get("user")))


def _answered(record: Record) -> Answered:
    status = record.get("http_status")
    headers = _field("Content-Type", record.get("mime"))
    return Answered(status if type(status) is int and status in _STATUSES else 200, headers)


def _field(name: str, value: object) -> tuple[tuple[str, str], ...]:
    """Return a header as it was recorded, none if it was not, or cannot have been."""
    text = value if isinstance(value, str) else ""
    return ((name, text),) if text and text.isprintable() else ()


def _text(value: object) -> str | None:
    """Return text of which there is UTF-8: JSON can hold half a surrogate pair."""
    return None if value is None else str(value).encode("utf-8", "replace").decode()


def _scanned(record: Record) -> Scanned:
    findings = tuple(
        Finding(
            Kind(one["kind"]), str(one.get("threat", "")), str(one.get("by", "")), str(one.get("where", ""))
        )
        for one in _objects(record.get("findings"))
        if one.get("kind") in set(Kind)
    )
    let = record.get("unscanned") or ()
    blocked = record.get("action") == "block" and not findings
    errors = tuple(
        ScanError(
            str(one.get("by", "")),
            str(one.get("text", "")),
            "closed" if blocked and one.get("by") not in let else "open",
        )
        for one in _objects(record.get("errors"))
    )
    return Scanned(findings, errors)


def _objects(value: object) -> Iterator[dict[str, Any]]:
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict):
            yield one


def lacking(
    explanation: Explanation, policy: Policy, record: Record, withheld: Withheld
) -> tuple[Lacking, ...]:
    """Return the facts that could have made a rule that was looked at say something else."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    steps = [step for asked in explanation.asked for step in (*asked.decision.trace, *_tls(asked))]
    for step in steps:
        for criterion, why in _asked_in_vain(step, record, withheld):
            found.setdefault((criterion, why), {})[step.rule.name] = None
    for workspace in policy.workspaces:
        for criterion, why in _of_rule(workspace, record, withheld):
            found.setdefault((criterion, why), {})[f"workspace {workspace.name}"] = None
    return tuple(Lacking(criterion, why, tuple(rules)) for (criterion, why), rules in found.items())


def _tls(asked: Any) -> tuple[Step, ...]:  # noqa: ANN401
    return asked.tls.trace if asked.tls is not None else ()


def _asked_in_vain(step: Step, record: Record, withheld: Withheld) -> Iterator[tuple[str, str]]:
    """Yield the criteria of a rule that lack their facts, unless a fact that is there denies it anyway."""
    for matcher, check in zip(_matchers(step.rule), step.checks, strict=True):
        if check.part == "when" and check.truth is False and _why(matcher, record, withheld) is None:
            return
    yield from _of_rule(step.rule, record, withheld)


def _of_rule(rule: Rule, record: Record, withheld: Withheld) -> Iterator[tuple[str, str]]:
    for matcher in _matchers(rule):
        why = _why(matcher, record, withheld)
        if why is not None:
            yield matcher.criterion, why


def _matchers(rule: Rule) -> tuple[Matcher, ...]:
    return (*rule.when, *(matcher for entry in rule.unless for matcher in entry))


def _why(matcher: Matcher, record: Record, withheld: Withheld) -> str | None:
    """Return why the record cannot tell what a criterion asks for, None if it can."""
    criterion = matcher.criterion
    if criterion in _PERHAPS and 0 < len(str(record.get(criterion) or "")) < _MAX_NAME:
        return None
    if criterion in _NEVER:
        return _NEVER[criterion]
    if asks_body(matcher):
        return _BODY
    cut = len(str(record.get("url") or "")) >= _MAX_URL
    told = {
        "client": "of clients the network is recorded alone" if withheld.clients else None,
        "user": "names of users are not recorded as they are" if withheld.users else None,
        "path": "the URL was cut" if cut else None,
    }
    told["url"] = told["regex"] = "what follows the ? is not recorded" if withheld.query else told["path"]
    return told.get(criterion)
