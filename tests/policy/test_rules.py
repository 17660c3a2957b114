"""Rules as data: what a decision says of itself, and how a rule of protection is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.policy import Allow, Block, Decision
from icapd.verdicts import CONTENT, Finding, Kind, ScanError
from tests.policy.asking import policy, transaction

if TYPE_CHECKING:
    from pathlib import Path

EICAR = Finding(Kind.MALWARE, "EICAR", "clamd")
MACRO = Finding(Kind.MACRO, "AutoOpen", CONTENT)


def test_the_threat_is_what_blocks_else_the_worst_that_was_found() -> None:
    assert Decision(Allow(), "default").threat == ""
    assert Decision(Allow(), "protection", findings=(EICAR, MACRO)).threat == "EICAR"
    blocked = Decision(Block(), "protection", findings=(EICAR, MACRO), violations=(MACRO,))
    assert (blocked.threat, blocked.worst) == ("AutoOpen", MACRO)


def test_unscanned_is_only_what_passed() -> None:
    errors = (ScanError("clamd", "gone", "open"), ScanError("clamd", "gone", "open"))
    assert Decision(Allow(), "protection", errors=errors).unscanned == ("clamd",)
    assert Decision(Block(), "protection", errors=errors).unscanned == ()


def test_a_rule_of_protection_is_asked_both_ways(tmp_path: Path) -> None:
    rules = policy(
        tmp_path, "protection: [{when: {host: [a.test]}, unless: [{user: [bob]}], scan: {macro: skip}}]"
    )
    (rule,) = rules.protection.rules
    tx = transaction(target="http://a.test/")
    tx.sni = "b.test"
    assert rule.holds(rules.facts(tx), strict=False)
    assert not rule.holds(rules.facts(tx), strict=True)
    tx.client.user = "bob"
    assert not rule.holds(rules.facts(tx), strict=False)
    assert rule.counts("anyone")
