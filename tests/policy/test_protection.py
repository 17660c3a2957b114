"""Protection: which rule applies, what blocks, and what may block while only a head is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.errors import ConfigErrors
from icapd.policy import Allow, Block, Decision, Refuse
from icapd.policy.protection import DEFAULT_SCAN, Protection, blocking
from icapd.policy.texts import ScanText
from icapd.transaction import BodyFacts, Transaction
from icapd.verdicts import CONTENT, Finding, Kind, ScanError
from tests.policy.asking import answered, policy, transaction

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.policy import Policy

EICAR = Finding(Kind.MALWARE, "EICAR", "clamd", "a.zip/b.com")
MACRO = Finding(Kind.MACRO, "AutoOpen", CONTENT)
LOCKED = Finding(Kind.ENCRYPTED, "zip", CONTENT)
SLICE = Finding(Kind.PARTIAL, "", CONTENT)
DOWN = ScanError("clamd", "connection refused", "closed")
OPEN = ScanError("yara", "too busy", "open")


def said(
    rules: Policy, tx: Transaction, *found: Finding, errors: tuple[ScanError, ...] = ()
) -> tuple[str, str, str | None, str]:
    """Return action, stage, rule and threat, having made sure that explain says the same."""
    decision = rules.protect(tx, found, errors)
    explained = rules.explain_protection(tx, found, errors)
    if found or errors:
        assert (decision.action, decision.rule, decision.violations, decision.shadow) == (
            explained.action,
            explained.rule,
            explained.violations,
            explained.shadow,
        )
    action = type(decision.action).__name__.lower()
    return action, decision.stage, decision.rule.name if decision.rule else None, decision.threat


def test_every_kind_has_a_default_and_a_word_in_the_policy() -> None:
    assert list(DEFAULT_SCAN.keys() ^ set(Kind)) == []
    assert list(ScanText.model_fields) == [kind.value for kind in Kind]


def test_without_a_rule_the_default_policy_decides(tmp_path: Path) -> None:
    rules = policy(tmp_path, "default_protection: {macro: skip, stream: block}")
    tx = answered()
    assert said(rules, tx, EICAR) == ("block", "default_protection", None, "EICAR")
    assert said(rules, tx, MACRO) == ("allow", "default_protection", None, "AutoOpen")
    assert said(rules, tx, LOCKED) == ("block", "default_protection", None, "zip")
    assert rules.protects(tx) == blocking({}, {}) - {Kind.MACRO} | {Kind.STREAM}
    assert policy(tmp_path, "access: []").protection == Protection()


def test_the_worst_that_blocks_decides_and_all_is_recorded(tmp_path: Path) -> None:
    rules = policy(tmp_path, "default_protection: {encrypted: block, malware: skip}")
    decision = rules.protect(answered(), (LOCKED, MACRO, EICAR))
    assert decision.findings == (EICAR, MACRO, LOCKED)
    assert decision.violations == (MACRO, LOCKED)
    assert (decision.action, decision.threat) == (Block(), "AutoOpen")


def test_what_was_decided_before_stands_where_nothing_is_found(tmp_path: Path) -> None:
    rules = policy(tmp_path, "access: [{name: fine, when: {host: [good.test]}, action: allow}]")
    tx = answered()
    before = rules.decide(tx)
    assert rules.protect(tx, (), (), before) is before
    assert before.rule is not None
    assert rules.explain_protection(tx, (), (), rules.explain(tx)).trace[0].rule is before.rule


OFFICE = """
protection:
  - name: office
    when: {file_type: [docx, docm]}
    scan: {macro: skip, encrypted: block}
  - name: partner
    when: {host: [partner.test]}
    unless: [{mime: [application/zip]}]
    scan: {malware: skip, encrypted: skip}
default_protection: {encrypted: skip}
"""
DOCX = BodyFacts(9, ("docx",))


def test_the_first_rule_that_holds_applies(tmp_path: Path) -> None:
    rules = policy(tmp_path, OFFICE)
    both = answered(target="http://partner.test/", body=DOCX)
    assert said(rules, both, MACRO) == ("allow", "protection", "office", "AutoOpen")
    assert said(rules, both, LOCKED) == ("block", "protection", "office", "zip")
    assert said(rules, both, EICAR) == ("block", "protection", "office", "EICAR")
    host = answered(target="http://partner.test/", body=BodyFacts(9, ("pdf",)))
    assert said(rules, host, EICAR) == ("allow", "protection", "partner", "EICAR")
    assert said(rules, host, MACRO) == ("block", "protection", "partner", "AutoOpen")
    excepted = answered("Content-Type: application/zip", target="http://partner.test/", body=BodyFacts(9, ()))
    assert said(rules, excepted, EICAR) == ("block", "default_protection", None, "EICAR")


def test_the_default_values_hold_for_what_a_rule_does_not_name(tmp_path: Path) -> None:
    rules = policy(tmp_path, OFFICE).protection.rules
    assert rules[0].blocks == blocking({}, {}) - {Kind.MACRO}
    assert rules[1].blocks == blocking({}, {}) - {Kind.MALWARE, Kind.ENCRYPTED}


def test_an_unknown_criterion_is_passed_over(tmp_path: Path) -> None:
    rules = policy(tmp_path, OFFICE)
    assert said(rules, answered(body=BodyFacts(9)), MACRO) == (
        "block",
        "default_protection",
        None,
        "AutoOpen",
    )


def test_an_upload_is_judged_by_its_own_content(tmp_path: Path) -> None:
    text = "protection: [{unless: [{file_type: [exe]}], scan: {malware: skip}}]"
    tx = transaction("POST", "http://a.test/", "Content-Length: 9")
    tx.body = BodyFacts(9, ("pdf",))
    assert said(policy(tmp_path, text), tx, EICAR)[0] == "allow"
    tx.body = BodyFacts(9, ("pdf", "exe"))
    assert said(policy(tmp_path, text), tx, EICAR)[0] == "block"


def test_of_a_message_with_two_readings_the_stricter_counts(tmp_path: Path) -> None:
    """Host and SNI disagree: the rule's blocks count, its leave does not."""
    text = """
protection:
  - {name: mine, when: {host: [mine.test]}, scan: {malware: skip, stream: block}}
  - {name: rest, scan: {macro: skip}}
"""
    rules = policy(tmp_path, text)
    tx = answered(target="https://mine.test/")
    stream = Finding(Kind.STREAM, "", CONTENT)
    assert said(rules, tx, EICAR)[0] == "allow"
    tx.sni = "other.test"
    assert said(rules, tx, stream) == ("block", "protection", "mine", "")
    assert said(rules, tx, EICAR) == ("block", "protection", "rest", "EICAR")
    assert said(rules, tx, MACRO)[:3] == ("block", "protection", "mine")
    assert rules.protects(tx) >= {Kind.STREAM, Kind.MALWARE}


def test_only_the_adapters_named_count_and_content_inspection(tmp_path: Path) -> None:
    text = "protection: [{name: one, when: {host: [good.test]}, scan: {macro: block}, adapters: [yara]}]"
    rules = policy(tmp_path, text)
    assert said(rules, answered(), EICAR)[0] == "allow"
    assert said(rules, answered(), MACRO)[0] == "block"
    assert said(rules, answered(), errors=(DOWN,))[0] == "allow"
    assert rules.protection.adapters == {"yara"}


def test_a_scanner_that_fails_closed_blocks(tmp_path: Path) -> None:
    rules = policy(tmp_path, "default_protection: {unscannable: skip}")
    decision = rules.protect(answered(), (), (DOWN, OPEN))
    assert (decision.action, decision.stage, decision.threat) == (Block(), "default_protection", "")
    assert decision.violations == (Finding(Kind.UNSCANNABLE, "", "clamd"),)
    assert (decision.errors, decision.unscanned) == ((DOWN, OPEN), ())
    assert rules.protect(answered(), (EICAR,), (DOWN,)).threat == "EICAR"


def test_a_scanner_that_fails_open_is_recorded(tmp_path: Path) -> None:
    decision = policy(tmp_path, "access: []").protect(answered(), (), (OPEN, OPEN))
    assert (decision.action, decision.unscanned, decision.findings) == (Allow(), ("yara",), ())


def test_where_nothing_can_block_no_failure_does(tmp_path: Path) -> None:
    scan = ", ".join(f"{kind}: skip" for kind in Kind)
    rules = policy(tmp_path, f"protection: [{{when: {{host: [good.test]}}, scan: {{{scan}}}}}]")
    assert rules.protects(answered()) == frozenset()
    assert rules.protects(answered(target="http://other.test/"))
    assert said(rules, answered(), errors=(DOWN,))[0] == "allow"


def test_shadow_mode_changes_nothing_and_says_what_it_would(tmp_path: Path) -> None:
    text = """
protection:
  - {name: stricter, scan: {stream: block}, mode: shadow}
  - {name: laxer, scan: {malware: skip}, mode: shadow}
"""
    rules = policy(tmp_path, text)
    one = rules.protect(answered(), (Finding(Kind.STREAM, "", CONTENT),))
    assert (one.action, [rule.name for rule in one.shadow]) == (Allow(), ["stricter"])
    assert one.shadow[0].action == Block()
    two = rules.protect(answered(), (EICAR,))
    assert (two.action, [rule.name for rule in two.shadow]) == (Block(), ["laxer"])
    assert two.shadow[0].action == Allow()
    assert rules.protects(answered()) == blocking({}, {})


def test_groups_workspaces_and_disabled_rules(tmp_path: Path) -> None:
    text = """
workspaces:
  - name: lab
    when: {client: [10.0.0.0/8]}
    protection: [{name: own, scan: {macro: skip}}]
protection:
  - {name: off, enabled: false, scan: {macro: block}}
  - workspace_rules
  - group: all
    rules: [{name: rest, scan: {macro: block}}]
default_protection: {macro: skip}
"""
    rules = policy(tmp_path, text)
    assert [(one.name, one.group, one.workspace) for one in rules.protection.rules] == [
        ("own", None, "lab"),
        ("rest", "all", None),
    ]
    tx = answered()
    assert said(rules, tx, MACRO)[:3] == ("block", "protection", "rest")
    tx.client.address = "10.1.1.1"
    assert said(rules, tx, MACRO)[:3] == ("allow", "protection", "own")
    assert rules.protect(tx, (MACRO,)).workspace == "lab"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("protection: [{name: a, when: {host: [a.test]}}]", "says what it does"),
        ("protection: [{scan: {virus: block}}]", "virus"),
        ("protection: [{scan: {macro: allow}}]", "block"),
        ("protection: [{scan: {macro: skip}, action: block}]", "action"),
        ("default_protection: {makro: skip}", "did you mean 'macro'"),
        ("default_protection: block", "default_protection"),
        ("protection: [{group: g, scan: {macro: skip}, rules: [{scan: {macro: block}}]}]", "belongs into"),
        ("protection: [{scan: {macro: skip}, when: {host: ['a b']}}]", "host"),
        ("protection: [{scan: {macro: skip}, unless: [{homograph: [a.test]}]}]", "homograph"),
    ],
)
def test_faults_are_told_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigErrors, match=r"policy.yaml:1: .*") as caught:
        policy(tmp_path, text)
    assert message in str(caught.value)


# --- While only the head is known ----------------------------------------------------------


def test_what_the_body_may_yet_say_can_block_and_is_never_presumed(tmp_path: Path) -> None:
    none = ", ".join(f"{kind}: skip" for kind in Kind)
    text = f"""
protection:
  - {{name: films, when: {{mime: ["video/*"]}}, scan: {{{none}}}}}
  - {{name: apps, when: {{file_type: [exe]}}, scan: {{stream: block}}}}
  - {{name: mine, when: {{host: [mine.test]}}, scan: {{{none}}}}}
default_protection: {{{none}}}
"""
    rules = policy(tmp_path, text)
    assert Kind.STREAM in rules.protects(answered())
    assert Kind.STREAM in rules.protects(answered("Content-Type: video/mp4"))
    assert Kind.STREAM in rules.protects(answered(target="http://mine.test/"))
    assert rules.protects(transaction()) == frozenset()  # a request without content


def test_an_exception_on_content_may_or_may_not_hold(tmp_path: Path) -> None:
    none = ", ".join(f"{kind}: skip" for kind in Kind)
    text = f"protection: [{{when: {{host: [good.test]}}, unless: [{{file_type: [exe]}}], scan: {{{none}}}}}]"
    assert policy(tmp_path, text).protects(answered()) == blocking({}, {})


def test_a_range_is_dropped_where_a_slice_would_be_blocked(tmp_path: Path) -> None:
    assert policy(tmp_path, "access: []").drops_range(transaction())
    assert not policy(tmp_path, "default_protection: {partial: skip}").drops_range(transaction())
    text = """
protection:
  - {when: {host: [video.test]}, scan: {partial: skip}}
  - {when: {direction: [response], mime: ["video/*"]}, scan: {partial: block}}
default_protection: {partial: skip}
"""
    rules = policy(tmp_path, text)
    assert not rules.drops_range(transaction(target="http://video.test/"))
    assert rules.drops_range(transaction(target="http://other.test/"))


def test_ill_formed_targets_are_refused_and_never_scanned(tmp_path: Path) -> None:
    rules = policy(tmp_path, OFFICE)
    tx = transaction(target="http://a..test/")
    assert (rules.protects(tx), rules.drops_range(tx), rules.wants_body(tx)) == (frozenset(), False, False)
    decision = rules.protect(tx, (EICAR,))
    assert isinstance(decision.action, Refuse)
    assert isinstance(decision, Decision)


# --- Bypass and access on what a body tells ------------------------------------------------


def test_access_waits_for_the_body_where_a_rule_asks_for_it(tmp_path: Path) -> None:
    rules = policy(tmp_path, "access: [{name: apps, when: {file_type: [exe]}, action: block}]")
    tx = answered(body_follows=True)
    assert (rules.decide(tx).action, rules.wants_body(tx)) == (Allow(), True)
    tx.body, tx.body_follows = BodyFacts(9, ("exe",)), False
    assert (rules.decide(tx).action, rules.wants_body(tx)) == (Block(), False)
    assert not rules.wants_body(answered(status=304, body_follows=True))
    assert not rules.wants_body(transaction())
    upload = transaction("POST", "http://a.test/", "Content-Length: 9")
    upload.body_follows = True
    assert rules.wants_body(upload)
    assert not policy(tmp_path, "access: [{when: {mime: [a/b]}, action: block}]").wants_body(upload)


def test_a_body_is_not_wanted_where_another_criterion_says_no(tmp_path: Path) -> None:
    text = """
bypass: [{name: in, when: {host: [good.test], sha256: [%s]}}]
access: [{name: out, when: {host: [out.test], size: [">1k"]}, action: block}]
"""
    rules = policy(tmp_path, text % ("a" * 64))
    assert rules.wants_body(answered(body_follows=True))
    assert not rules.wants_body(answered(target="http://some.test/", body_follows=True))
    assert rules.wants_body(answered(target="http://out.test/", body_follows=True))
    assert not rules.wants_body(answered("Content-Length: 9", target="http://out.test/", body_follows=True))


def test_a_list_of_digests_wants_the_body(tmp_path: Path) -> None:
    text = "lists: {bad: {sha256: bad}}\naccess: [{name: out, when: {list: [bad]}, action: block}]"
    rules = policy(tmp_path, text, bad="b" * 64 + "\n")
    tx = answered(body_follows=True)
    assert rules.wants_body(tx)
    tx.body, tx.body_follows = BodyFacts(9, (), (), ("a" * 64, "b" * 64)), False
    assert rules.decide(tx).action == Block()


# --- Lists of threats -----------------------------------------------------------------------


def test_hosts_of_threats_are_never_ignored(tmp_path: Path) -> None:
    text = "lists: {phish: {domains: d, urls: u, cidr: c, threat: phishing}, other: {domains: o}}"
    rules = policy(tmp_path, text, d="bad.test\n", u="files.test/x\n", c="192.0.2.0/24\n", o="other.test\n")
    assert rules.threats == {"phish": Kind.PHISHING}
    assert rules.ignores("good.test")
    assert rules.ignores("other.test")
    assert not rules.ignores("a.bad.test")
    assert not rules.ignores("files.test")
    assert not rules.ignores("192.0.2.9")
    assert not rules.ignores("good.test", ("192.0.2.9",))
    assert not policy(tmp_path, "access: []").threats
