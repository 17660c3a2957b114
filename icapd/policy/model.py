"""The policy and its one question: what is to happen to this transaction.

Order: bypass, then access; in each the first rule that holds ends the stage (DESIGN §4). A
rule whose truth is unknown at this point ends its stage too, with nothing established: the
rules below may only be asked once it is known, and the next point knows more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.http import HeadError
from icapd.policy.facts import Facts, names_of
from icapd.policy.index import Index
from icapd.policy.match import ListIs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from icapd.lists import ListSet
    from icapd.macros import Template
    from icapd.policy.match import Matcher, Truth
    from icapd.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Allow:
    """Let it pass (and, later, be scanned)."""


@dataclass(frozen=True, slots=True)
class Bypass:
    """Let it pass; access and protection are skipped."""


@dataclass(frozen=True, slots=True)
class Block:
    """Show the block page."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send the user to another URL."""

    template: Template


@dataclass(frozen=True, slots=True)
class Refuse:
    """Block it because its target is ill-formed: `reason` says how."""

    reason: str


Action = Allow | Bypass | Block | Redirect | Refuse


@dataclass(frozen=True, slots=True)
class Rule:
    """`when`: all must hold. `unless`: no entry may hold whole. `source` is "file:line".

    `exempts` tells whether it lets something out, and so must match strictly.
    """

    name: str
    stage: str
    source: str
    when: tuple[Matcher, ...]
    unless: tuple[tuple[Matcher, ...], ...]
    exempts: bool

    def truth(self, facts: Facts) -> Truth:
        """Return `when` AND NOT (any of `unless`), three-valued.

        In an exempting rule `when` is strict and `unless` generous; else the other way round.
        """
        strict = self.exempts
        result = all_of(self.when, facts, strict=strict)
        if result is False:
            return False
        for entry in self.unless:
            exception = all_of(entry, facts, strict=not strict)
            if exception:
                return False
            if exception is None:
                result = None
        return result

    def category(self, facts: Facts) -> str | None:
        """Return the lists that made it match, or None if it asks for none."""
        for matcher in self.when:
            if isinstance(matcher, ListIs):
                return matcher.category(facts)
        return None


@dataclass(frozen=True, slots=True)
class TrafficRule(Rule):
    """A rule of the stages bypass and access."""

    action: Action


@dataclass(frozen=True, slots=True)
class TlsRule(Rule):
    """What Squid does with a tunnel: bump, splice, splice_if_sni_matches or terminate."""

    action: str


def all_of(matchers: Iterable[Matcher], facts: Facts, *, strict: bool) -> Truth:
    """AND of three values: False if one is False, else None if one is None."""
    result: Truth = True
    for matcher in matchers:
        one = matcher.truth(facts, strict=strict)
        if one is False:
            return False
        if one is None:
            result = None
    return result


@dataclass(frozen=True, slots=True)
class Check:
    """One criterion looked at: `part` is "when" or "unless N"."""

    part: str
    criterion: str
    wanted: tuple[str, ...]
    found: str
    truth: Truth


@dataclass(frozen=True, slots=True)
class Step:
    """One rule looked at, with what each of its criteria said."""

    stage: str
    rule: Rule
    truth: Truth
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says. `undecided` is the rule that could not be told at this point.

    `shadow`: rules in shadow mode that would have decided, in order; they change nothing.
    `workspace` is the one that was chosen by who asks.
    """

    action: Action
    stage: str
    rule: Rule | None = None
    category: str | None = None
    trace: tuple[Step, ...] = ()
    undecided: Rule | None = None
    shadow: tuple[Rule, ...] = ()
    workspace: str | None = None


@dataclass(frozen=True, slots=True)
class TlsDecision:
    """What Squid is to do with a tunnel: "bump" unless a rule says otherwise."""

    action: str
    rule: Rule | None
    trace: tuple[Step, ...] = ()
    undecided: Rule | None = None


_DEFAULT = Decision(Allow(), "default")
_BUMP = TlsDecision("bump", None)


class Policy:
    """Rules in order with their lists; never changed after it was loaded.

    The one thing that moves inside is the index's memory of hosts, which changes no answer.
    """

    def __init__(
        self,
        *,
        bypass: tuple[TrafficRule, ...] = (),
        access: tuple[TrafficRule, ...] = (),
        tls: tuple[TlsRule, ...] = (),
        lists: ListSet,
        digest: str = "",
        files: tuple[Path, ...] = (),
    ) -> None:
        self.bypass = bypass
        self.access = access
        self.tls = tls
        self.lists = lists
        self.digest = digest
        self.files = files
        self._rules = (*bypass, *access)
        self._index = Index(self._rules, lists)
        self._tls_index = Index(tls, lists)

    def decide(self, tx: Transaction) -> Decision:
        """Return the decision on `tx`. An ill-formed target is refused, whatever the rules."""
        try:
            names = names_of(tx)
        except HeadError as error:
            return Decision(Refuse(str(error)), "target")
        numbers = self._index.candidates(tx, names)
        if not numbers:
            return _DEFAULT
        return self._decide(numbers, Facts(tx, names, self.lists), None)

    def explain(self, tx: Transaction) -> Decision:
        """Return the same decision with its trace: every rule looked at, in order."""
        try:
            facts = Facts(tx, names_of(tx), self.lists)
        except HeadError as error:
            return Decision(Refuse(str(error)), "target")
        return self._decide(range(len(self._rules)), facts, [])

    def decide_tls(self, tx: Transaction) -> TlsDecision:
        """Return what Squid is to do with this tunnel; a rule unknown yet means bump."""
        try:
            names = names_of(tx)
        except HeadError:
            return TlsDecision("terminate", None)
        numbers = self._tls_index.candidates(tx, names)
        if not numbers:
            return _BUMP
        return self._decide_tls(numbers, Facts(tx, names, self.lists), None)

    def explain_tls(self, tx: Transaction) -> TlsDecision:
        """Return the same as `decide_tls`, with its trace."""
        try:
            facts = Facts(tx, names_of(tx), self.lists)
        except HeadError:
            return TlsDecision("terminate", None)
        return self._decide_tls(range(len(self.tls)), facts, [])

    def _decide(self, numbers: Iterable[int], facts: Facts, trace: list[Step] | None) -> Decision:
        """Ask the rules `numbers` in order; `trace` collects what they said, where given."""
        undecided: Rule | None = None
        ended = ""
        for number in numbers:
            rule = self._rules[number]
            if rule.stage == ended:
                continue
            truth = rule.truth(facts)
            if trace is not None:
                trace.append(Step(rule.stage, rule, truth, checks(rule, facts)))
            if truth is None:
                undecided, ended = rule, rule.stage
            elif truth:
                return Decision(
                    rule.action, rule.stage, rule, rule.category(facts), tuple(trace or ()), undecided
                )
        if undecided is None and not trace:
            return _DEFAULT
        return Decision(Allow(), "default", None, None, tuple(trace or ()), undecided)

    def _decide_tls(self, numbers: Iterable[int], facts: Facts, trace: list[Step] | None) -> TlsDecision:
        for number in numbers:
            rule = self.tls[number]
            truth = rule.truth(facts)
            if trace is not None:
                trace.append(Step("tls", rule, truth, checks(rule, facts)))
            if truth is None:
                return TlsDecision("bump", None, tuple(trace or ()), rule)
            if truth:
                return TlsDecision(rule.action, rule, tuple(trace or ()))
        return TlsDecision("bump", None, tuple(trace)) if trace else _BUMP


def checks(rule: Rule, facts: Facts) -> tuple[Check, ...]:
    """Return what each criterion of `rule` says, all of them, for `explain`."""
    parts = [("when", rule.when, rule.exempts)]
    parts += [(f"unless {n}", entry, not rule.exempts) for n, entry in enumerate(rule.unless, 1)]
    return tuple(
        Check(part, each.criterion, each.wanted, each.found(facts), each.truth(facts, strict=strict))
        for part, matchers, strict in parts
        for each in matchers
    )
