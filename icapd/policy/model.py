"""The policy and its one question: what is to happen to this transaction.

Order: bypass, then access; in each the first rule that holds ends the stage. A
rule whose truth is unknown at this point ends its stage too, with nothing established: the
rules below may only be asked once it is known, and the next point knows more.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from icapd.http import HeadError
from icapd.policy.facts import SELDOM_A_BODY, Facts, check_framing, names_of
from icapd.policy.index import Index
from icapd.policy.listed import ListIs
from icapd.policy.paths import RegexIs
from icapd.policy.regexes import RegexSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
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

    `exempts` tells whether it lets something out, and so must match strictly. A rule in `shadow`
    mode changes nothing. `group` and `workspace` name those it belongs to.
    """

    name: str
    stage: str
    source: str
    when: tuple[Matcher, ...]
    unless: tuple[tuple[Matcher, ...], ...]
    exempts: bool
    shadow: bool = field(default=False, kw_only=True)
    group: str | None = field(default=None, kw_only=True)
    workspace: str | None = field(default=None, kw_only=True)

    def truth(self, facts: Facts) -> Truth:
        """Return `when` AND NOT (any of `unless`), three-valued.

        In an exempting rule `when` is strict and `unless` generous; else the other way round.
        At the last point nothing stays unknown: no unknown criterion holds, and an unknown
        exception holds only against an exemption.
        """
        strict = self.exempts
        result = all_of(self.when, facts, strict=strict)
        if result is False or (result is None and facts.is_last):
            return False
        for entry in self.unless:
            exception = all_of(entry, facts, strict=not strict)
            if exception is None and facts.is_last:
                exception = strict
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


@dataclass(frozen=True, slots=True)
class Workspace(Rule):
    """Rules of its own for those who fit `when`; they stand among the rules, marked by its name."""


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
    shadow: tuple[TrafficRule, ...] = ()
    workspace: str | None = None


@dataclass(frozen=True, slots=True)
class TlsDecision:
    """What Squid is to do with a tunnel: "bump" unless a rule says otherwise."""

    action: str
    rule: Rule | None
    trace: tuple[Step, ...] = ()
    undecided: Rule | None = None
    shadow: tuple[TlsRule, ...] = ()


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
        workspaces: tuple[Workspace, ...] = (),
        lists: ListSet,
        digest: str = "",
        files: tuple[Path, ...] = (),
    ) -> None:
        """Raise RegexError if the rules' regexes are too many for RE2."""
        self.bypass = bypass
        self.access = access
        self.tls = tls
        self.workspaces = workspaces
        self.lists = lists
        self.digest = digest
        self.files = files
        self._rules = (*bypass, *access)
        self._ends = {"bypass": len(bypass), "access": len(self._rules)}  # where each stage's rules end
        self._regexes = _regexes_of((*self._rules, *tls))
        self._index = Index(self._rules, lists)
        self._tls_index = Index(tls, lists)
        self._workspace_index = Index(workspaces, lists)
        self._needs_facts = bool(workspaces) or self._index.needs_facts

    def decide(self, tx: Transaction) -> Decision:
        """Return the decision on `tx`. An ill-formed target is refused, whatever the rules."""
        try:
            names = names_of(tx)
            if tx.response is not None or tx.request is None or tx.request.method not in SELDOM_A_BODY:
                check_framing(tx)
        except HeadError as error:
            return Decision(Refuse(str(error)), "target")
        if not self._needs_facts:
            numbers = self._index.candidates(tx, names)
            if not numbers:
                return _DEFAULT
            return self._decide(numbers, Facts(tx, names, self.lists, self._regexes), None)
        facts = self._facts(tx, names)
        return self._decide(self._index.candidates(tx, names, facts), facts, None)

    def ignores(self, host: str, addresses: tuple[str, ...] = ()) -> bool:
        """Tell whether no rule can hold for a message whose one name is `host`, whoever asks for what.

        `addresses` are those it leads to. Its decision is then to allow, by default. False where that
        is not certain so quickly.
        """
        return not self._needs_facts and self._index.ignores(host, addresses)

    def explain(self, tx: Transaction) -> Decision:
        """Return the same decision with its trace: every rule looked at, in order."""
        try:
            facts = self._facts(tx, names_of(tx))
            check_framing(tx)
        except HeadError as error:
            return Decision(Refuse(str(error)), "target")
        return self._decide(range(len(self._rules)), facts, [])

    def decide_tls(self, tx: Transaction) -> TlsDecision:
        """Return what Squid is to do with this tunnel; a rule unknown yet means bump."""
        try:
            names = names_of(tx)
        except HeadError:
            return TlsDecision("terminate", None)
        facts = None
        if self.workspaces or self._tls_index.needs_facts:
            facts = self._facts(tx, names)
        numbers = self._tls_index.candidates(tx, names, facts)
        if not numbers:
            return _BUMP
        return self._decide_tls(numbers, facts or Facts(tx, names, self.lists, self._regexes), None)

    def explain_tls(self, tx: Transaction) -> TlsDecision:
        """Return the same as `decide_tls`, with its trace."""
        try:
            facts = self._facts(tx, names_of(tx))
        except HeadError:
            return TlsDecision("terminate", None)
        return self._decide_tls(range(len(self.tls)), facts, [])

    def facts(self, tx: Transaction) -> Facts:
        """Return what rules may ask of `tx`, its workspace chosen. Raises HeadError."""
        return self._facts(tx, names_of(tx))

    def _facts(self, tx: Transaction, names: tuple[str, ...]) -> Facts:
        """Return the facts with the workspace chosen: the first that fits; one that is unknown is none."""
        facts = Facts(tx, names, self.lists, self._regexes)
        if self.workspaces:
            for number in self._workspace_index.candidates(tx, names):
                truth = self.workspaces[number].truth(facts)
                if truth:
                    facts.workspace = self.workspaces[number].name
                if truth is not False:
                    break
        return facts

    def _decide(self, numbers: Sequence[int], facts: Facts, trace: list[Step] | None) -> Decision:
        """Ask the rules `numbers` in order; `trace` collects what they said, where given."""
        undecided: Rule | None = None
        shadow: tuple[TrafficRule, ...] = ()
        at = 0
        while at < len(numbers):
            rule = self._rules[numbers[at]]
            truth = rule.truth(facts)
            at += 1
            if trace is not None:
                trace.append(Step(rule.stage, rule, truth, checks(rule, facts)))
            if rule.shadow:
                shadow += (rule,) if truth else ()
            elif truth is None:
                undecided = rule
                at = bisect_left(numbers, self._ends[rule.stage])
            elif truth:
                category = rule.category(facts)
                steps = tuple(trace or ())
                workspace = facts.workspace
                return Decision(rule.action, rule.stage, rule, category, steps, undecided, shadow, workspace)
        if undecided is None and not trace and not shadow and facts.workspace is None:
            return _DEFAULT
        steps = tuple(trace or ())
        return Decision(Allow(), "default", None, None, steps, undecided, shadow, facts.workspace)

    def _decide_tls(self, numbers: Iterable[int], facts: Facts, trace: list[Step] | None) -> TlsDecision:
        shadow: tuple[TlsRule, ...] = ()
        for number in numbers:
            rule = self.tls[number]
            truth = rule.truth(facts)
            if trace is not None:
                trace.append(Step("tls", rule, truth, checks(rule, facts)))
            if rule.shadow:
                shadow += (rule,) if truth else ()
            elif truth is None:
                return TlsDecision("bump", None, tuple(trace or ()), rule, shadow)
            elif truth:
                return TlsDecision(rule.action, rule, tuple(trace or ()), None, shadow)
        return TlsDecision("bump", None, tuple(trace or ()), None, shadow) if trace or shadow else _BUMP


def _regexes_of(rules: Iterable[Rule]) -> RegexSet:
    """Return all regexes of `rules` in one set, in the two ways they are matched."""
    loose: dict[str, None] = {}
    exact: dict[str, None] = {}
    for rule in rules:
        ways = (exact, loose) if rule.exempts else (loose, exact)
        for matchers, way in ((rule.when, ways[0]), *((entry, ways[1]) for entry in rule.unless)):
            for matcher in matchers:
                if isinstance(matcher, RegexIs):
                    way.update(dict.fromkeys(matcher.wanted))
    return RegexSet(loose, exact)


def checks(rule: Rule, facts: Facts) -> tuple[Check, ...]:
    """Return what each criterion of `rule` says, all of them, for `explain`."""
    parts = [("when", rule.when, rule.exempts)]
    parts += [(f"unless {n}", entry, not rule.exempts) for n, entry in enumerate(rule.unless, 1)]
    return tuple(
        Check(part, each.criterion, each.wanted, each.found(facts), each.truth(facts, strict=strict))
        for part, matchers, strict in parts
        for each in matchers
    )
