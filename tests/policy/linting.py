"""Findings on a policy in one line, each held against what it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.pages import Pages, page_values
from icapd.policy import Redirect
from icapd.policy.explain import explain
from icapd.policy.lint import lint
from tests.policy.asking import policy

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.policy import Decision, Policy
    from icapd.policy.finding import Finding
    from icapd.transaction import Transaction


def locate(tx: Transaction, decision: Decision) -> str:
    if not isinstance(decision.action, Redirect):
        return ""
    url = tx.request.url.text if tx.request is not None else ""
    return Pages.location(
        decision.action.template, page_values(tx=tx, decision=decision, decision_id="", url=url)
    )


def findings(folder: Path, text: str, **lists: str) -> list[Finding]:
    """Return what the linter says of a policy; every request it shows can be asked."""
    loaded = policy(folder, text, **lists)
    found = lint(loaded, locate)
    for one in found:
        assert one.file == str(folder / "policy.yaml")
        assert 0 < one.line <= text.count("\n") + 1
        assert one.what
        assert one.why
        if one.proof is not None:
            assert explain(loaded, one.proof).asked
    return list(found)


def codes(folder: Path, text: str, **lists: str) -> list[str]:
    """Return the findings as "line code"."""
    return [f"{one.line} {one.code}" for one in findings(folder, text, **lists)]


def decides(loaded: Policy, finding: Finding) -> str | None:
    """Return the rule that decides the request that a finding shows."""
    assert finding.proof is not None
    rule = explain(loaded, finding.proof).last.decision.rule
    return None if rule is None else rule.name
