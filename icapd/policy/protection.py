"""Protection: what is done with what scanning found.

The rules are asked from top to bottom when the message has been read; the first that holds applies, and
where none does the default protection policy. A rule may make things stricter and laxer at once, so
where a message has two readings both count: a rule that holds for one of them only blocks what it
blocks, and lets nothing out that the rules below it would block.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from icapd.policy.listed import ListIs
from icapd.policy.rules import Allow, Block, Decision, ProtectionRule, Step, all_of, checks
from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from icapd.policy.facts import Facts
    from icapd.policy.match import Matcher
    from icapd.policy.rules import ScanAction
    from icapd.verdicts import ScanError

STAGE, DEFAULT_STAGE = "protection", "default_protection"
DEFAULT_SCAN: Mapping[Kind, ScanAction] = {
    Kind.MALWARE: "block",
    Kind.PHISHING: "block",
    Kind.MALICIOUS_URL: "block",
    Kind.MACRO: "block",
    Kind.ENCRYPTED: "block",
    Kind.UNSCANNABLE: "block",
    Kind.LIMIT: "block",
    Kind.PARTIAL: "block",
    Kind.TOO_LARGE: "skip",
    Kind.TYPE_MISMATCH: "skip",
    Kind.ACTIVE_CONTENT: "skip",
    Kind.STREAM: "skip",
}
RANK = {kind: rank for rank, kind in enumerate(Kind)}  # 0 is the worst
ON_BODY = frozenset({"file_type", "md5", "sha256", "size"})  # what only a body that was read can tell
_CLEARER_LATER = ON_BODY | {"mime", "content_length"}  # said by the head, and the body may say otherwise
_OF_RESPONSE = _CLEARER_LATER | {"direction", "file_name", "header", "upgrade"}


def blocking(scan: Mapping[Kind, ScanAction], default: Mapping[Kind, ScanAction]) -> frozenset[Kind]:
    """Return the kinds that are blocked: by `scan`, else by `default`, else by DEFAULT_SCAN."""
    return frozenset(
        kind for kind, usual in DEFAULT_SCAN.items() if scan.get(kind, default.get(kind, usual)) == "block"
    )


def asks_body(matcher: Matcher) -> bool:
    """Whether only a body that was read can answer the criterion."""
    return matcher.criterion in ON_BODY or (isinstance(matcher, ListIs) and matcher.has_digests)


@dataclass(frozen=True, slots=True)
class Protection:
    """The rules of the stage in order, and the kinds that are blocked where none applies."""

    rules: tuple[ProtectionRule, ...] = ()
    default: frozenset[Kind] = blocking({}, {})

    @property
    def adapters(self) -> frozenset[str]:
        """The adapters that rules name."""
        return frozenset(name for rule in self.rules for name in rule.adapters or ())

    def kinds(self, facts: Facts, numbers: Iterable[int]) -> frozenset[Kind]:
        """Return the kinds that may turn out to be blocked, while only the head of the message is known."""
        later = frozenset[str]() if facts.has_content is False else _CLEARER_LATER
        return self._may_block(facts, numbers, later)

    def kinds_of_response(self, facts: Facts) -> frozenset[Kind]:
        """Return the same of a response that is yet to come, by its request."""
        return self._may_block(facts, range(len(self.rules)), _OF_RESPONSE)

    def _may_block(self, facts: Facts, numbers: Iterable[int], later: frozenset[str]) -> frozenset[Kind]:
        found = frozenset[Kind]()
        for number in numbers:
            rule = self.rules[number]
            if rule.shadow or not _may_hold(rule, facts, later):
                continue
            found |= rule.blocks
            if _is_certain(rule, facts, later):
                return found
        return found | self.default

    def decide(
        self,
        facts: Facts,
        numbers: Sequence[int],
        *,
        findings: tuple[Finding, ...],
        errors: tuple[ScanError, ...],
        before: Decision,
        trace: list[Step] | None,
    ) -> Decision:
        """Return what becomes of a message that was read; `before` is what bypass and access said."""
        applied, shadow = self._applied(facts, numbers, trace)
        ranked = tuple(sorted(findings, key=lambda one: RANK[one.kind]))
        violations = self._violations(applied, ranked, errors)
        deciding = next((rule for rule, _ in violations), applied[0])
        would = tuple(self._in_shadow(shadow, ranked, errors, is_blocked=bool(violations)))
        return Decision(
            Block() if violations else Allow(),
            DEFAULT_STAGE if deciding is None else STAGE,
            deciding,
            None if deciding is None else deciding.category(facts),
            before.trace + tuple(trace or ()),
            before.undecided,
            before.shadow + would,
            facts.workspace,
            ranked,
            tuple(finding for _, finding in violations),
            errors,
        )

    def _applied(
        self, facts: Facts, numbers: Iterable[int], trace: list[Step] | None
    ) -> tuple[list[ProtectionRule | None], list[ProtectionRule]]:
        """Return the rules that apply, None for the default policy, and those in shadow mode that would."""
        applied: list[ProtectionRule | None] = []
        shadow: list[ProtectionRule] = []
        for number in numbers:
            rule = self.rules[number]
            holds = rule.holds(facts, strict=False)
            if trace is not None:
                trace.append(Step(STAGE, rule, holds, checks(rule, facts)))
            if holds:
                (shadow if rule.shadow else applied).append(rule)
                if not rule.shadow and rule.holds(facts, strict=True):
                    return applied, shadow
        return [*applied, None], shadow

    def _violations(
        self,
        applied: Iterable[ProtectionRule | None],
        findings: Iterable[Finding],
        errors: Iterable[ScanError],
    ) -> list[tuple[ProtectionRule | None, Finding]]:
        """Return what blocks, the worst first, each with the first rule that does so."""
        applied = list(applied)
        found: list[tuple[ProtectionRule | None, Finding]] = []
        for finding in findings:
            found += [(rule, finding) for rule in applied if self._blocks(rule, finding)][:1]
        for error in errors:
            if error.on_error == "closed":
                unseen = Finding(Kind.UNSCANNABLE, "", error.by)
                found += [(rule, unseen) for rule in applied if self._fails_on(rule, error)][:1]
        return sorted(found, key=lambda pair: RANK[pair[1].kind])

    def _blocks(self, rule: ProtectionRule | None, finding: Finding) -> bool:
        if rule is None:
            return finding.kind in self.default
        return finding.kind in rule.blocks and rule.counts(finding.by)

    def _fails_on(self, rule: ProtectionRule | None, error: ScanError) -> bool:
        """Whether a scanner that failed would have been listened to: then nobody knows what it would say."""
        return bool(self.default) if rule is None else bool(rule.blocks) and rule.counts(error.by)

    def _in_shadow(
        self,
        rules: Iterable[ProtectionRule],
        findings: Sequence[Finding],
        errors: Sequence[ScanError],
        *,
        is_blocked: bool,
    ) -> Iterable[ProtectionRule]:
        """Yield the rules in shadow mode that would have changed something, with what they would do."""
        for rule in rules:
            would_block = bool(self._violations([rule], findings, errors))
            if would_block != is_blocked:
                yield rule if would_block else replace(rule, action=Allow())


def _may_hold(rule: ProtectionRule, facts: Facts, later: frozenset[str]) -> bool:
    """Whether it may hold when all is known; what is said `later` can be so or otherwise."""
    if any(one.truth(facts, strict=False) is False for one in rule.when if not _is_later(one, later)):
        return False
    return not any(
        all(not _is_later(one, later) and one.truth(facts, strict=True) is True for one in entry)
        for entry in rule.unless
    )


def _is_certain(rule: ProtectionRule, facts: Facts, later: frozenset[str]) -> bool:
    """Whether it will hold in every reading, whatever is said later."""
    if any(_is_later(one, later) for one in rule.when) or all_of(rule.when, facts, strict=True) is not True:
        return False
    return all(
        any(not _is_later(one, later) and one.truth(facts, strict=False) is False for one in entry)
        for entry in rule.unless
    )


def _is_later(matcher: Matcher, later: frozenset[str]) -> bool:
    return bool(later) and (matcher.criterion in later or asks_body(matcher))
