"""Rules and what comes of them, as frozen data: actions, rules, decisions and their traces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from icapd.policy.listed import ListIs
from icapd.verdicts import CONTENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icapd.macros import Template
    from icapd.policy.facts import Facts
    from icapd.policy.match import Matcher, Truth
    from icapd.verdicts import Finding, Kind, ScanError


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
ScanAction = Literal["block", "skip"]


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
    """A rule of the stages bypass and access.

    `ends_connect`: a CONNECT that it denies is ended, without a page inside the tunnel.
    """

    action: Action
    ends_connect: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class ProtectionRule(Rule):
    """What is done with what was found: `scan` as written, `blocks` with the default policy filled in.

    With `adapters`, of all adapters only those count: their findings, and their failing. What content
    inspection finds always counts. `exempts` is False: `holds` is asked both ways. `action` is what a
    rule in shadow mode would have done.
    """

    scan: Mapping[Kind, ScanAction]
    blocks: frozenset[Kind]
    adapters: tuple[str, ...] | None = None
    action: Action = field(default_factory=Block)

    def holds(self, facts: Facts, *, strict: bool) -> bool:
        """Tell whether it holds for a message that was read; an unknown criterion does not.

        An unknown exception holds only strictly.
        """
        if all_of(self.when, facts, strict=strict) is not True:
            return False
        exceptions = (all_of(entry, facts, strict=not strict) for entry in self.unless)
        return not any(strict if exception is None else exception for exception in exceptions)

    def counts(self, by: str) -> bool:
        """Tell whether it listens to a scanner."""
        return self.adapters is None or by == CONTENT or by in self.adapters


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
    `workspace` is the one that was chosen by who asks. `findings` are all that scanning found, the worst
    first; `violations` those among them that block, then one for each scanner whose failing blocks.
    `errors` are the scanners that could not look.
    """

    action: Action
    stage: str
    rule: Rule | None = None
    category: str | None = None
    trace: tuple[Step, ...] = ()
    undecided: Rule | None = None
    shadow: tuple[TrafficRule | ProtectionRule, ...] = ()
    workspace: str | None = None
    findings: tuple[Finding, ...] = ()
    violations: tuple[Finding, ...] = ()
    errors: tuple[ScanError, ...] = ()

    @property
    def worst(self) -> Finding | None:
        """What decided, or where nothing blocks the worst that was found."""
        found = self.violations or self.findings
        return found[0] if found else None

    @property
    def threat(self) -> str:
        """The name of the worst, "" where nothing was found or it has none."""
        return "" if self.worst is None else self.worst.threat

    @property
    def unscanned(self) -> tuple[str, ...]:
        """The scanners that could not look and let it pass unseen."""
        if isinstance(self.action, Block):
            return ()
        return tuple(dict.fromkeys(each.by for each in self.errors))


@dataclass(frozen=True, slots=True)
class TlsDecision:
    """What Squid is to do with a tunnel: "bump" unless a rule says otherwise."""

    action: str
    rule: Rule | None
    trace: tuple[Step, ...] = ()
    undecided: Rule | None = None
    shadow: tuple[TlsRule, ...] = ()


def checks(rule: Rule, facts: Facts) -> tuple[Check, ...]:
    """Return what each criterion of `rule` says, all of them, for `explain`."""
    parts = [("when", rule.when, rule.exempts)]
    parts += [(f"unless {n}", entry, not rule.exempts) for n, entry in enumerate(rule.unless, 1)]
    return tuple(
        Check(part, each.criterion, each.wanted, each.found(facts), each.truth(facts, strict=strict))
        for part, matchers, strict in parts
        for each in matchers
    )
