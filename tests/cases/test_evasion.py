"""The whole evasion deck through the command line, and what the runner does with failures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cases import run_evasion as runner

HERE = Path(__file__).parent
CASE: dict[str, Any] = {
    "id": "x",
    "rule": {"kind": "block-domain", "value": "evil.test"},
    "request": {"method": "GET", "uri": "http://evil.test/"},
    "expect": "block",
    "via": "rule",
}
BY_RULE = {"action": "block", "rule": runner.RULE, "reason": None}
REFUSED = {"action": "refuse", "rule": None, "reason": "no host"}
ALLOWED = {"action": "allow", "rule": None, "reason": None}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "run_evasion.py"), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=HERE.parents[1]
    )


def test_the_deck() -> None:
    done = run(HERE / "evasion.jsonl")
    assert done.stdout.splitlines()[-1:] == ["194 passed, 0 failed"], done.stdout + done.stderr
    assert done.returncode == 0


def test_failures_are_named(tmp_path: Path) -> None:
    cases = [
        {**CASE, "id": "good"},
        {**CASE, "id": "unblocked", "request": {"uri": "http://good.test/"}, "why": "another site"},
        {**CASE, "id": "unrefused", "via": "refuse"},
        {**CASE, "id": "refused-rule", "rule": {"kind": "block-regex", "value": "("}},
        {**CASE, "id": "rejected", "rule": {"kind": "block-regex", "value": "["}, "also_acceptable": ["rule-rejected"]},
        {**CASE, "id": "unknown-kind", "rule": {"kind": "block-moon", "value": "full"}},
        {**CASE, "id": "slow", "max_ms": 0.0001},
        {**CASE, "id": "quick", "max_ms": 5000},
    ]  # fmt: skip
    deck = tmp_path / "deck.jsonl"
    deck.write_text("".join(f"{json.dumps(case)}\n" for case in cases))
    done = run(deck)
    assert done.returncode == 1
    *lines, last = done.stdout.splitlines()
    assert last == "3 passed, 5 failed"
    named = [line.partition(":")[0] for line in lines if not line.startswith("icapd")]
    assert named == ["unblocked", "unrefused", "refused-rule", "unknown-kind", "slow"]
    assert lines[0] == "unblocked: allow (allow by no rule)  [another site]"


@pytest.mark.parametrize(
    ("case", "answer", "good"),
    [
        ({}, BY_RULE, True),
        ({}, REFUSED, False),
        ({"via": "refuse"}, REFUSED, True),
        ({"via": "refuse"}, BY_RULE, False),
        ({"via": "either"}, REFUSED, True),
        ({"via": "either"}, BY_RULE, True),
        ({}, ALLOWED, False),
        ({}, {**BY_RULE, "rule": "another"}, False),
        ({"via": "either"}, {**BY_RULE, "rule": "another"}, False),
        ({"expect": "allow"}, ALLOWED, True),
        ({"expect": "allow"}, {**ALLOWED, "action": "bypass"}, True),
        ({"expect": "allow"}, BY_RULE, False),
        ({"expect": "allow", "also_acceptable": ["block"]}, REFUSED, True),
        ({}, {"error": "no JSON"}, False),
        ({"request": {"content": "infected"}}, ALLOWED, True),
        ({"request": {"content": "infected"}}, {**ALLOWED, "action": "bypass"}, False),
        ({"request": {"content": "infected"}, "expect": "allow"}, {**ALLOWED, "action": "bypass"}, True),
        ({"request": {"content": "infected"}, "expect": "allow"}, ALLOWED, False),
    ],
)
def test_judging(case: dict[str, Any], answer: dict[str, Any], good: bool) -> None:
    assert (not runner.problems_of({**CASE, **case}, answer)) is good


def test_leaks_are_found() -> None:
    sent = {"page": "<p>", "headers": [["A", "b"]], "icap_headers": [], "log": "{}\n"}
    check = {"page_not": ["<script>"], "header_not": ["\n"]}
    assert runner.leaks_of(check, {"answer": sent}) == []
    assert runner.leaks_of(check, {"answer": None}) == ["there is no answer to look at"]
    for bad in (
        {"page": "<script>"},
        {"headers": [["A", "b\nc"]]},
        {"headers": [["Set-Cookie", "b"]]},
        {"log": "\x1b[2J\n"},
    ):
        assert len(runner.leaks_of(check, {"answer": {**sent, **bad}})) == 1
