"""Rules of protection that are never asked or change nothing, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.policy.cover import covers, in_every_case
from icapd.policy.explain import connect_before
from icapd.policy.lint_reach import never
from icapd.policy.rules import Allow, Block, Bypass, Redirect
from icapd.verdicts import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.policy.finding import Finding
    from icapd.policy.rules import ProtectionRule, Rule, TrafficRule
    from icapd.policy.study import Study

_UNREAD = frozenset({"splice", "splice_if_sni_matches"})
_MEDIA = ("video/", "audio/")  # players ask for these in slices, and seek by asking for others
_MEDIA_TYPES = frozenset({"mp4", "mov", "webm", "mkv", "avi", "ogg", "mp3", "flac", "wav", "mpeg", "m4a"})


def lint_protection(study: Study) -> Iterator[Finding]:
    """Yield findings on the rules of protection."""
    above: list[ProtectionRule] = []
    for rule in study.policy.protection.rules:
        if rule.shadow:
            continue
        yield from _reached(study, rule, above)
        yield from _blocks(study, rule)
        yield from _unread_tunnels(study, rule)
        above.append(rule)


def _reached(study: Study, rule: ProtectionRule, above: list[ProtectionRule]) -> Iterator[Finding]:
    reason = never(study, rule)
    if reason is not None:
        yield study.finding(rule, "warning", "never-matches", *reason)
        return
    what = f"protection rule {rule.name!r} is never reached"
    earlier = next((one for one in above if covers(one, rule)), None)
    if earlier is not None:
        why = f"{earlier.name!r} ({earlier.source}) holds wherever it does and comes first"
        if earlier.blocks == rule.blocks and earlier.adapters == rule.adapters:
            yield study.finding(rule, "warning", "shadowed", what, why, "remove it: nothing changes")
        else:
            why += ", and says otherwise"
            yield study.finding(rule, "warning", "contradicted", what, why, "move it above the other")
        return
    ends = next((one for one in study.rules if _ends(one) and covers(one, rule)), None)
    if ends is not None:
        does = "exempts" if isinstance(ends.action, Bypass) else "ends"
        but = "" if in_every_case(ends, rule) else ", save for requests whose names disagree"
        why = f"{ends.name!r} ({ends.source}) {does} all that it is for, before anything is scanned{but}"
        mend = "make the other narrower, or remove this one"
        yield study.finding(rule, "warning", "never-scanned", what, why, mend)


def _ends(rule: TrafficRule) -> bool:
    return isinstance(rule.action, Bypass | Block | Redirect)


def _blocks(study: Study, rule: ProtectionRule) -> Iterator[Finding]:
    if not rule.blocks:
        what = f"protection rule {rule.name!r} blocks nothing"
        why = "all kinds are skipped, so what it holds for is not scanned at all"
        mend = "let it block malware at least; or say it plainly, by a bypass rule"
        yield study.finding(rule, "warning", "scans-nothing", what, why, mend)
    elif Kind.PARTIAL in rule.blocks and _is_media(rule):
        what = f"protection rule {rule.name!r} blocks slices of films or sound"
        why = "players ask for them in slices: Range is dropped, and each seek loads all of it again"
        yield study.finding(rule, "note", "slices", what, why, "add `partial: skip` to its `scan`")


def _is_media(rule: ProtectionRule) -> bool:
    for one in rule.when:
        wanted = tuple(value.lower() for value in one.wanted)
        if one.criterion == "mime" and any(value.startswith(_MEDIA) for value in wanted):
            return True
        if one.criterion == "file_type" and not _MEDIA_TYPES.isdisjoint(wanted):
            return True
    return False


def _unread_tunnels(study: Study, rule: ProtectionRule) -> Iterator[Finding]:
    """Find a rule all of whose hosts are in tunnels that are not decrypted."""
    if not rule.blocks or not any(one.criterion in {"host", "url", "list", "category"} for one in rule.when):
        return
    found: Rule | None = None
    proof = None
    for question in study.witnesses.for_rule(rule):
        inner = study.as_https(question, rule)
        connect = None if inner is None else connect_before(inner)
        if connect is None:
            return
        tls = study.decide_tls(connect)
        if tls.action not in _UNREAD or not isinstance(study.decide(connect).action, Allow | Bypass):
            return
        found, proof = tls.rule, connect
    if found is not None:
        what = f"protection rule {rule.name!r} is for hosts whose tunnels are not decrypted"
        why = f"{found.name!r} ({found.source}) has Squid splice them: over https nothing inside is scanned"
        mend = "decrypt them (action bump), or remove the rule"
        yield study.finding(rule, "warning", "never-decrypted", what, why, mend, proof=proof)
