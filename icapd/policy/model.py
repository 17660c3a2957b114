"""The policy and its one question: what is to happen to this transaction.

Order: bypass, then access; in each the first rule that holds ends the stage. A
rule whose truth is unknown at this point ends its stage too, with nothing established: the
rules below may only be asked once it is known, and the next point knows more. What they allow goes on
to protection, which is asked when the message has been scanned.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from icapd.http import HeadError, RequestHead
from icapd.policy.addresses import embedded_addresses
from icapd.policy.certain import asks_host_alone
from icapd.policy.facts import SELDOM_A_BODY, Facts, check_framing, names_of
from icapd.policy.index import Index
from icapd.policy.paths import RegexIs
from icapd.policy.protection import Protection, asks_body
from icapd.policy.regexes import RegexSet
from icapd.policy.rules import (
    Allow,
    Decision,
    Refuse,
    Rule,
    Step,
    TlsDecision,
    TlsRule,
    TrafficRule,
    Workspace,
    checks,
)
from icapd.transaction import Point, Transaction
from icapd.verdicts import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from icapd.lists import ListSet
    from icapd.verdicts import Finding, ScanError


_DEFAULT = Decision(Allow(), "default")
_BUMP = TlsDecision("bump", None)
_ANY = b"GET http://%b/ HTTP/1.1\r\n\r\n"  # of a host, as good as any other


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
        protection: Protection | None = None,
        lists: ListSet,
        digest: str = "",
        files: tuple[Path, ...] = (),
        asks_md5: bool = True,
        source: str = "",  # digest of the policy's file
    ) -> None:
        """Raise RegexError if the rules' regexes are too many for RE2."""
        self.bypass = bypass
        self.access = access
        self.tls = tls
        self.workspaces = workspaces
        self.protection = protection or Protection()
        self.lists = lists
        self.threats = lists.threats
        self.scans = bool(self.threats) or self.protection != Protection()
        self.digest = digest
        self.files = files
        self.source = source
        self.asks_md5 = asks_md5  # whether a rule may
        self._rules = (*bypass, *access)
        self._ends = {"bypass": len(bypass), "access": len(self._rules)}  # where each stage's rules end
        self._regexes = _regexes_of((*self._rules, *tls), self.protection.rules)
        self._index = Index(self._rules, lists)
        self._tls_index = Index(tls, lists)
        self._workspace_index = Index(workspaces, lists)
        self._protection_index = Index(self.protection.rules, lists)
        self._asks_body = any(_waits_for_body(rule) for rule in self._rules)
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

    def decide_by(self, facts: Facts) -> Decision:
        """Return the same of a transaction whose `facts` were gathered before."""
        try:
            check_framing(facts.tx)
        except HeadError as error:
            return Decision(Refuse(str(error)), "target")
        return self._decide(self._index.candidates(facts.tx, facts.names, facts), facts, None)

    def candidates(self, facts: Facts) -> Iterator[TrafficRule]:
        """Yield the rules of bypass and access that are not certainly false, in order."""
        return (self._rules[number] for number in self._index.candidates(facts.tx, facts.names, facts))

    def ignores(self, host: str, addresses: tuple[str, ...] = ()) -> bool:
        """Tell whether no rule can hold for a message whose one name is `host`, whoever asks for what.

        `addresses` are those it leads to. Its decision is then to allow, by default. False where that
        is not certain so quickly.
        """
        return (
            not self._needs_facts
            and self._index.ignores(host, addresses)
            and not (self.threats and self._may_threaten(host, addresses))
        )

    def of_host(self, host: str) -> Decision | None:
        """Return the decision on every request whose one name is `host`, whoever asks for what of it.

        Nobody has told where it leads to. None where more than the host counts.
        """
        numbers = None if self._needs_facts else self._index.of_host(host)
        if numbers is None:
            return None
        decision = _DEFAULT
        if numbers:
            decision = self.decide(
                Transaction(Point.REQMOD, request=RequestHead(_ANY % host.encode("ascii")))
            )
            for number in numbers:
                rule = self._rules[number]
                if not asks_host_alone(rule, host, self.lists):
                    return None
                if rule is decision.rule:
                    break
        if type(decision.action) is Allow and self.threats and self._may_threaten(host, ()):
            return None
        return decision

    def _may_threaten(self, host: str, addresses: tuple[str, ...]) -> bool:
        """Tell whether a list of threats holds something of the host, its subdomains' parents or URLs."""
        lists = self.lists
        found = {name for each in (host, *embedded_addresses(host)) for name in _hold(lists, each)}
        found.update(name for address in addresses for name in lists.lookup_address(address))
        return not found.isdisjoint(self.threats)

    def protects(self, tx: Transaction) -> frozenset[Kind]:
        """Return the kinds of findings that may block this message, asked by its head; empty: scan nothing.

        Of a message that bypass or access end nothing is scanned; that is not asked here again.
        """
        if not self.protection.rules:
            return self.protection.default
        try:
            facts = self._facts(tx, names_of(tx))
        except HeadError:  # such a target is refused before anything is scanned
            return frozenset()
        return self.protection.kinds(facts, self._protection_index.candidates(tx, facts.names, facts))

    @property
    def asks_body(self) -> bool:
        """Whether any rule of bypass or access asks what only a body can tell."""
        return self._asks_body

    def wants_body(self, tx: Transaction) -> bool:
        """Tell whether a rule of bypass or access waits for what only the body of this message can tell.

        Where one does, ask `decide` again with `tx.body`. Asked at heads, with `tx.body_follows`.
        """
        if not self._asks_body or tx.body is not None:
            return False
        try:
            facts = self._facts(tx, names_of(tx))
        except HeadError:
            return False
        if facts.has_content is False:
            return False
        return any(
            _waits_for_body(rule, facts)
            for rule in self._undecided(self._index.candidates(tx, facts.names, facts), facts)
        )

    def _undecided(self, numbers: Sequence[int], facts: Facts) -> Iterable[Rule]:
        """Yield the rules that end their stage unknown, and those in shadow mode on the way that are."""
        ended = ""
        for number in numbers:
            rule = self._rules[number]
            if rule.stage == ended:
                continue
            truth = rule.truth(facts)
            if truth is None:
                yield rule
            if truth is not False and not rule.shadow:
                ended = rule.stage
                if truth:
                    return

    def protect(
        self,
        tx: Transaction,
        findings: tuple[Finding, ...],
        errors: tuple[ScanError, ...] = (),
        before: Decision = _DEFAULT,
    ) -> Decision:
        """Return what becomes of a message that was scanned: stage "protection" or "default_protection".

        `before` is the decision of bypass and access, Allow; it stands where nothing was found and every
        scanner could look.
        """
        if not findings and not errors:
            return before
        return self._protect(tx, findings, errors, before, None)

    def explain_protection(
        self,
        tx: Transaction,
        findings: tuple[Finding, ...],
        errors: tuple[ScanError, ...] = (),
        before: Decision = _DEFAULT,
    ) -> Decision:
        """Return the same with the trace of the rules of protection behind that of `before`.

        Without findings or errors too: the rule is then the one that applies, and nothing is blocked.
        """
        return self._protect(tx, findings, errors, before, [])

    def _protect(
        self,
        tx: Transaction,
        findings: tuple[Finding, ...],
        errors: tuple[ScanError, ...],
        before: Decision,
        trace: list[Step] | None,
    ) -> Decision:
        try:
            facts = self._facts(tx, names_of(tx))
        except HeadError as error:
            return Decision(Refuse(str(error)), "target")
        numbers: Sequence[int] = range(len(self.protection.rules))
        if trace is None:
            numbers = self._protection_index.candidates(tx, facts.names, facts)
        return self.protection.decide(
            facts, numbers, findings=findings, errors=errors, before=before, trace=trace
        )

    def drops_range(self, tx: Transaction) -> bool:
        """Tell, at REQMOD, whether a slice of the response would be blocked: then all is to be asked for."""
        kinds = self.protection.default
        if self.protection.rules:
            try:
                kinds = self.protection.kinds_of_response(self._facts(tx, names_of(tx)))
            except HeadError:
                return False
        return Kind.PARTIAL in kinds

    def explain(self, tx: Transaction) -> Decision:
        """Return the same decision with its trace: every rule looked at, in order."""
        try:
            facts = self._facts(tx, names_of(tx))
            check_framing(tx)
        except HeadError as error:
            return Decision(Refuse(str(error)), "target")
        return self._decide(range(len(self._rules)), facts, [])

    def decide_tls(self, tx: Transaction, facts: Facts | None = None) -> TlsDecision:
        """Return what Squid is to do with this tunnel; a rule unknown yet means bump.

        `facts` are those of `tx`, where they were gathered before.
        """
        if facts is not None and not self.tls:
            return _BUMP
        try:
            names = names_of(tx) if facts is None else facts.names
        except HeadError:
            return TlsDecision("terminate", None)
        if facts is None and (self.workspaces or self._tls_index.needs_facts):
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


def _hold(lists: ListSet, host: str) -> tuple[str, ...]:
    return (*lists.lookup(host), *lists.may_hold_url(host))


def _waits_for_body(rule: Rule, facts: Facts | None = None) -> bool:
    """Whether a criterion of the rule asks for the body, and is unknown in `facts`, where given."""
    parts = [(rule.when, rule.exempts), *((entry, not rule.exempts) for entry in rule.unless)]
    return any(
        asks_body(one) and (facts is None or one.truth(facts, strict=strict) is None)
        for matchers, strict in parts
        for one in matchers
    )


def _regexes_of(rules: Iterable[Rule], both_ways: Iterable[Rule]) -> RegexSet:
    """Return all regexes of `rules` in one set, in the two ways they are matched."""
    loose: dict[str, None] = {}
    exact: dict[str, None] = {}
    for rule in rules:
        ways = (exact, loose) if rule.exempts else (loose, exact)
        for matchers, way in ((rule.when, ways[0]), *((entry, ways[1]) for entry in rule.unless)):
            for matcher in matchers:
                if isinstance(matcher, RegexIs):
                    way.update(dict.fromkeys(matcher.wanted))
    for rule in both_ways:
        for matcher in (one for part in (rule.when, *rule.unless) for one in part):
            if isinstance(matcher, RegexIs):
                loose.update(dict.fromkeys(matcher.wanted))
                exact.update(dict.fromkeys(matcher.wanted))
    return RegexSet(loose, exact)
