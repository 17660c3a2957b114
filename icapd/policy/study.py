"""A policy under study: its rules with a request for each, and what becomes of that request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from icapd.http import HeadError
from icapd.policy.explain import connect_before
from icapd.policy.finding import Finding, Level, place_of
from icapd.policy.rules import Allow, Bypass, Decision, Refuse, Rule, TlsDecision, TrafficRule
from icapd.policy.witness import Witnesses
from icapd.transaction import Point, Transaction

if TYPE_CHECKING:
    from icapd.policy.model import Policy
    from icapd.policy.question import Question
    from icapd.source import Document

Locate = Callable[[Transaction, Decision], str]
PASSING = (Allow, Bypass)
# What a CONNECT never has; a `url` with a path is one of them too.
AFTER_CONNECT = frozenset(
    {"path", "regex", "mime", "file_type", "file_name", "size", "content_length", "md5", "sha256"}
)


@dataclass(frozen=True, slots=True)
class Studied:
    """A rule with a request that it holds for (None: none was found) and the decision on that."""

    number: int
    rule: TrafficRule
    question: Question | None
    decision: Decision | None

    @property
    def is_reached(self) -> bool:
        """Whether the rule decides the request that it holds for."""
        return self.decision is not None and self.decision.rule is self.rule

    @property
    def ends(self) -> bool:
        """Whether the rule blocks or redirects."""
        return not isinstance(self.rule.action, PASSING)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """An https request that a rule holds for, and what becomes of the CONNECT before it."""

    inner: Question
    connect: Question
    decision: Decision


class Study:
    """One policy; everything asked of it is asked once."""

    def __init__(self, policy: Policy, locate: Locate, document: Document | None = None) -> None:
        self.policy = policy
        self.locate = locate
        self.document = document
        self.witnesses = Witnesses(policy)
        self._connects: dict[int, Tunnel | None] = {}
        self._tunnels: dict[int, Tunnel | None] = {}

    @cached_property
    def rules(self) -> tuple[TrafficRule, ...]:
        """The rules that decide, bypass first; those in shadow mode decide nothing."""
        rules = (*self.policy.bypass, *self.policy.access)
        return tuple(rule for rule in rules if not rule.shadow)

    @cached_property
    def studied(self) -> tuple[Studied, ...]:
        """Each rule with the first of its requests that it decides, else with the first of them."""
        return tuple(self._study(number, rule) for number, rule in enumerate(self.rules))

    @cached_property
    def numbers(self) -> dict[int, int]:
        """The number of each rule, by its identity: rules are compared deeply otherwise."""
        return {id(rule): number for number, rule in enumerate(self.rules)}

    def _study(self, number: int, rule: TrafficRule) -> Studied:
        first: Studied | None = None
        for question in self.witnesses.for_rule(rule):
            one = Studied(number, rule, question, self.decide(question))
            if one.is_reached:
                return one
            first = first or one
        return first or Studied(number, rule, None, None)

    def decide(self, question: Question) -> Decision:
        """Return the decision at the point where the question ends, as Squid would ask."""
        decision = self.decide_at(question, Point.REQMOD)
        if question.response is None or question.is_connect or not isinstance(decision.action, PASSING):
            return decision
        return self.decide_at(question, Point.RESPMOD)

    def decide_at(self, question: Question, point: Point) -> Decision:
        """Return the decision at one point."""
        facts = self.witnesses.facts(question, point)
        if facts is not None:
            return self.policy.decide_by(facts)
        try:
            return self.policy.decide(question.transaction(point))
        except HeadError as error:
            return Decision(Refuse(str(error)), "message")

    def decide_tls(self, question: Question) -> TlsDecision:
        """Return what Squid does with the tunnel that the CONNECT `question` opens."""
        facts = self.witnesses.facts(question, Point.REQMOD)
        return self.policy.decide_tls(
            question.transaction(Point.REQMOD) if facts is None else facts.tx, facts
        )

    def as_https(self, question: Question, rule: Rule) -> Question | None:
        """Return the question by https, if the rule holds for that too."""
        asked = _by_https(question)
        return asked if asked is None or asked is question or self.witnesses.truth(rule, asked) else None

    def next_after(self, rule: Rule, question: Question) -> TrafficRule | None:
        """Return the rule that would decide the request, or be unknown, if `rule` were not there."""
        facts = self.witnesses.facts(question, Point.REQMOD)
        number = self.numbers.get(id(rule))
        if facts is None or number is None:
            return None
        below = (one for one in self.policy.candidates(facts) if self.numbers.get(id(one), -1) > number)
        return next((one for one in below if one.stage == rule.stage and one.truth(facts) is not False), None)

    def connect(self, one: Studied) -> Tunnel | None:
        """Return the way to a rule's request by https, whether the rule holds for that too or not."""
        if one.number not in self._connects:
            inner = None if one.question is None else _by_https(one.question)
            connect = None if inner is None else connect_before(inner)
            self._connects[one.number] = (
                None if inner is None or connect is None else Tunnel(inner, connect, self.decide(connect))
            )
        return self._connects[one.number]

    def tunnel(self, one: Studied) -> Tunnel | None:
        """Return the way to a rule's request by https, or None if it has none."""
        if one.number not in self._tunnels:
            found = self.connect(one)
            if found is not None and found.inner is not one.question:
                found = found if self.witnesses.truth(one.rule, found.inner) else None
            self._tunnels[one.number] = found
        return self._tunnels[one.number]

    @staticmethod
    def finding(rule: Rule, level: Level, code: str, *said: str, proof: Question | None = None) -> Finding:
        """Return a finding on a rule; `said` is what, why, how to mend."""
        what, why, mend = said
        return Finding(*place_of(rule.source), level, code, what, why, mend, proof)


def _by_https(question: Question) -> Question | None:
    """Return the same request by https; a CONNECT has none."""
    if question.is_connect:
        return None
    scheme, _, rest = question.uri.partition("://")
    return question if scheme == "https" else replace(question, uri=f"https://{rest}")
