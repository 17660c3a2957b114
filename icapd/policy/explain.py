"""Why the policy decides as it does: every point that Squid would ask at, in order, with the trace.

The decisions are those of `Policy.explain`, the code that serves; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from icapd.http import HeadError, RequestHead
from icapd.policy.connect import Effect, effect, is_for_inner
from icapd.policy.rules import Allow, Block, Bypass, Decision, ProtectionRule, Redirect, Refuse, TrafficRule
from icapd.policy.scanned import Scanned
from icapd.transaction import Point
from icapd.verdicts import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icapd.policy.model import Policy
    from icapd.policy.question import Question
    from icapd.policy.rules import Rule, Step, TlsDecision
    from icapd.transaction import Transaction
    from icapd.verdicts import Finding as ScanFinding

_PASSING = (Allow, Bypass)
Heads = Callable[["Transaction"], tuple["ScanFinding", ...]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One point with its decision. `name` is "connect", "reqmod" or "respmod".

    `protection` is which rule of protection applies to what passed bypass and access, whatever was found.
    `tls` is what Squid is told to do with the tunnel that a CONNECT opens, `inner` whether it opens only
    for what is asked inside. `tx` is None for a message that could not be read, which the server answers
    with ICAP's 400.
    """

    name: str
    tx: Transaction | None
    decision: Decision
    tls: TlsDecision | None = None
    protection: Decision | None = None
    inner: bool = False

    @property
    def passes(self) -> bool:
        """Whether the message goes on."""
        return isinstance(self.decision.action, _PASSING)


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent in place of a message: a redirect to `location`, or else `reply`, in words."""

    location: str | None = None
    reply: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All points that were asked; the last one is where it ended."""

    question: Question
    asked: tuple[Asked, ...]

    default: frozenset[Kind] = frozenset()

    @property
    def last(self) -> Asked:
        """The point that decided."""
        return self.asked[-1]

    @property
    def protection(self) -> tuple[str, ProtectionRule | None, frozenset[Kind]] | None:
        """Stage and rule of protection that apply to the message asked about last, and what they block."""
        applies = self.last.protection
        if applies is None:
            return None
        if isinstance(applies.rule, ProtectionRule):
            return applies.stage, applies.rule, applies.rule.blocks
        return applies.stage, None, self.default


def explain(policy: Policy, question: Question, heads: Heads = lambda _: ()) -> Explanation:
    """Ask `policy` as Squid would: the request and, where that passes and a response is given, the response.

    A CONNECT is asked about by itself: what is inside its tunnel comes as requests of their own.
    `heads` says what is found in the names and addresses of a message, which scanners know, above the
    policy.
    """
    default = policy.protection.default
    first = _ask(policy, question, Point.REQMOD, heads)
    if first.passes and question.response is not None and not question.is_connect:
        return Explanation(question, (first, _ask(policy, question, Point.RESPMOD, heads)), default)
    return Explanation(question, (first,), default)


def connect_before(question: Question) -> Question | None:
    """Return the CONNECT that Squid asks about before an https request, or None for other requests."""
    if question.is_connect:
        return None
    try:
        target = RequestHead(question.request()).url
    except HeadError:
        return None
    if target.scheme not in {"https", "wss"}:
        return None
    name = question.connect_host or target.host
    host = f"[{name}]" if ":" in name and not name.startswith("[") else name
    return replace(
        question,
        method="CONNECT",
        uri=f"{host}:{target.port}",
        headers=(),
        response=None,
        connect_host=None,
        scanned=Scanned(),
    )


def _ask(policy: Policy, question: Question, point: Point, heads: Heads) -> Asked:
    name = "connect" if question.is_connect else point.value
    try:
        tx = question.transaction(point)
    except HeadError as error:
        return Asked(name, None, Decision(Refuse(str(error)), "message"))
    decision, protection = policy.explain(tx), None
    if isinstance(decision.action, Allow):
        scanned = question.scanned if point is question.last_point else Scanned()
        findings = (*heads(tx), *scanned.findings)
        protection = policy.explain_protection(tx, findings, scanned.errors, decision)
        decision = protection if findings or scanned.errors else replace(decision, trace=protection.trace)
    opens = question.is_connect and isinstance(decision.action, _PASSING)
    tls = policy.explain_tls(tx) if opens else None
    return Asked(name, tx, decision, tls, protection, opens and is_for_inner(policy, tx, decision))


def action_name(decision: Decision) -> str:
    """Return allow, bypass, block, redirect or refuse."""
    return type(decision.action).__name__.lower()


def shown(asked: Asked, *, location: str | None, bumps: bool = True, reply: str | None = None) -> str:
    """Say what the user gets. `bumps`: whether Squid decrypts on the port he uses.

    `reply`: what is sent to a request that is blocked, where that is not the page; what stands above the
    policy knows it. A redirect without a `location` is not sent.
    """
    action = asked.decision.action
    if asked.name == "connect":
        return _shown_for_connect(asked, location, bumps=bumps)
    if isinstance(action, Redirect) and location is not None:
        return f"a redirect (302) to {location}"
    if isinstance(action, Block | Redirect):
        late = "; the request has reached the server" if asked.name == "respmod" else ""
        return f"{reply or 'the block page (403)'}{late}"
    if isinstance(action, Refuse):
        return f"an error page: {action.reason}"
    if asked.name == "respmod":
        return "the response as it came"
    return "what the server answers" + (
        "; icapd is asked again about the response" if action == Allow() else ""
    )


def _shown_for_connect(asked: Asked, location: str | None, *, bumps: bool) -> str:
    action, tx = asked.decision.action, asked.tx
    rule = asked.decision.rule
    marked = bumps and tx is not None and tx.request is not None and tx.request.method == "CONNECT"
    marked = marked and not (isinstance(rule, TrafficRule) and rule.ends_connect)
    if isinstance(action, Redirect) and location is not None:
        return (
            f"a redirect to {location}, inside the tunnel; the server is not contacted" if marked else _ENDED
        )
    if isinstance(action, Block | Redirect):
        return "the block page, inside the tunnel; the server is not contacted" if marked else _ENDED
    if isinstance(action, Refuse):
        return f"the connection is ended: {action.reason}"
    return _TUNNELS[asked.tls.action if asked.tls is not None and marked else "splice"]


_ENDED = "the connection is ended; a browser shows its own error"
_TUNNELS = {
    "bump": "the tunnel opens and Squid decrypts it: each request inside is asked about again",
    "splice": "the tunnel opens unread: nothing inside is asked about or scanned",
    "splice_if_sni_matches": "the tunnel opens unread if the TLS name is the same, else it is ended",
    "terminate": "the connection is ended before anything is sent",
}


def effect_of(asked: Asked, *, location: str | None, bumps: bool = True) -> Effect | None:
    """Return what a CONNECT comes to, None for any other request."""
    if asked.name != "connect":
        return None
    return effect(asked.decision, asked.tls, location=location, bumps=bumps, inner=asked.inner)


def waits_for(decision: Decision) -> tuple[str, ...]:
    """Return the criteria that were unknown in the rule that could not be told."""
    for step in decision.trace:
        if step.rule is decision.undecided and step.truth is None:
            return tuple(dict.fromkeys(one.criterion for one in step.checks if one.truth is None))
    return ()


def as_json(
    explanation: Explanation,
    *,
    location: str | None,
    bumps: bool = True,
    sent: Sent | None = None,
) -> dict[str, Any]:
    """Return what `icapd explain --json` prints, without the id. `sent`: at the last point, if known."""
    last = explanation.last
    decision, tls = last.decision, last.tls
    sent = sent or Sent(location)
    came = effect_of(last, location=sent.location, bumps=bumps)
    return {
        "action": action_name(decision),
        "stage": decision.stage,
        "rule": _name_of(decision.rule),
        "source": decision.rule.source if decision.rule is not None else None,
        "location": location,
        "point": last.name,
        "reason": decision.action.reason if isinstance(decision.action, Refuse) else None,
        "category": decision.category,
        "undecided": _name_of(decision.undecided),
        "waits_for": list(waits_for(decision)),
        "workspace": decision.workspace,
        "shadow": [rule.name for rule in decision.shadow],
        "threat": decision.threat or None,
        "findings": [_found(one, decision) for one in decision.findings],
        "unscanned": list(decision.unscanned),
        "protection": None if last.protection is None else _protection(explanation),
        "tls": None if tls is None else {"action": tls.action, "rule": _name_of(tls.rule)},
        "shows": shown(last, location=sent.location, bumps=bumps, reply=sent.reply),
        "connect": None if came is None else asdict(came),
        "unread": list(explanation.question.unread),
        "trace": [line for asked in explanation.asked for line in _trace(asked)],
    }


def _found(one: ScanFinding, decision: Decision) -> dict[str, Any]:
    blocked = one in decision.violations
    return {"kind": one.kind, "threat": one.threat, "by": one.by, "where": one.where, "blocked": blocked}


def _protection(explanation: Explanation) -> dict[str, Any] | None:
    applies = explanation.protection
    if applies is None:
        return None
    stage, rule, blocks = applies
    return {
        "stage": stage,
        "rule": _name_of(rule),
        "blocks": [kind for kind in Kind if kind in blocks],
        "skips": [kind for kind in Kind if kind not in blocks],
        "adapters": None if rule is None or rule.adapters is None else list(rule.adapters),
    }


def _name_of(rule: Rule | None) -> str | None:
    return None if rule is None else rule.name


def _trace(asked: Asked) -> Iterable[dict[str, Any]]:
    steps = (*asked.decision.trace, *(asked.tls.trace if asked.tls is not None else ()))
    return (_step(asked.name, step) for step in steps)


def _step(point: str, step: Step) -> dict[str, Any]:
    return {
        "point": point,
        "stage": step.stage,
        "rule": step.rule.name,
        "source": step.rule.source,
        "truth": step.truth,
        "checks": [
            {
                "part": one.part,
                "criterion": one.criterion,
                "wanted": list(one.wanted),
                "found": one.found,
                "truth": one.truth,
            }
            for one in step.checks
        ],
    }
