"""What a record says as a question, and what of it is lacking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from icapd.policy import load_policy
from icapd.policy.explain import explain
from icapd.policy.question import Answered
from icapd.reports.recorded import Lacking, Withheld, lacking, question_of
from icapd.transaction import Point
from icapd.verdicts import Finding, Kind, ScanError
from tests.events.recorded import BEGIN, record
from tests.reports import hostile

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.policy.question import Question

NOTHING = Withheld()
POLICY = """workspaces: [{name: labs, when: {group: [labs]}}]
access:
  - {name: old browsers, when: {user_agent: ["*MSIE*"], host: [www.games.example]}, action: block}
  - {name: elsewhere, when: {user_agent: ["*MSIE*"], host: [other.example]}, action: block}
  - {name: programs, when: {file_type: [exe]}, action: block}
  - {name: secrets, when: {regex: ["secret="]}, unless: [{client: [10.1.2.3]}, {user: [anna]}], action: block}
"""


def asked(one: dict[str, Any]) -> Question:
    question = question_of(one, lambda question: question)
    assert question is not None
    return question


def test_all_that_is_recorded_is_asked_with() -> None:
    one = asked(
        record(
            1,
            point="respmod",
            client="10.9.8.7",
            sni="sni.example",
            server="192.0.2.1",
            findings=[
                {"kind": "malware", "threat": "EICAR", "by": "clamd", "where": "a.zip"},
                {"kind": "new"},
            ],
            errors=[{"by": "yara", "text": "timed out"}],
            unscanned=["yara"],
        )
    )
    tx = one.transaction(Point.RESPMOD)
    assert (tx.client.address, tx.client.user, tx.sni, tx.addresses) == (
        "10.9.8.7",
        "Anna",
        "sni.example",
        ("192.0.2.1",),
    )
    assert tx.now == BEGIN.timestamp() + 1
    assert tx.request is not None
    assert tx.request.url.host == "www.games.example"
    assert tx.response is not None
    assert one.scanned.findings == (Finding(Kind.MALWARE, "EICAR", "clamd", "a.zip"),)
    assert one.scanned.errors == (ScanError("yara", "timed out", "open"),)


def test_a_scanner_that_failed_closed_is_told_from_one_that_let_pass() -> None:
    one = asked(record(1, action="block", stage="default_protection", errors=[{"by": "clamd", "text": "t"}]))
    assert one.scanned.errors == (ScanError("clamd", "t", "closed"),)


@pytest.mark.parametrize("given", [{"url": ""}, {"method": None}, {"event": "ticket-unused"}, {"time": "?"}])
def test_what_is_no_request_is_no_question(given: dict[str, Any]) -> None:
    assert question_of(record(1, **given), lambda question: question) is None


def test_hostile_records_are_questions_too(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    loaded = load_policy(policy)
    for one in hostile.records()[:-2]:
        explain(loaded, asked(one))


def told(path: Path, one: dict[str, Any], withheld: Withheld = NOTHING) -> dict[str, Lacking]:
    policy = path / "policy.yaml"
    policy.write_text(POLICY)
    loaded = load_policy(policy)
    return {each.criterion: each for each in lacking(explain(loaded, asked(one)), loaded, one, withheld)}


def test_facts_that_rules_ask_for_in_vain_are_told(tmp_path: Path) -> None:
    found = told(tmp_path, record(1, point="respmod"))
    assert {name: one.rules for name, one in found.items()} == {
        "user_agent": ("old browsers",),
        "file_type": ("programs",),
        "group": ("workspace labs",),
    }
    assert found["file_type"].why == "what a body holds is not recorded"


def test_heads_that_were_recorded_are_asked_with_and_not_lacking(tmp_path: Path) -> None:
    one = record(1, point="respmod", user_agent="old browser", mime="text/html", http_status=206)
    assert "user_agent" not in told(tmp_path, one)
    tx = asked(one).transaction(Point.RESPMOD)
    assert tx.request is not None
    assert tx.response is not None
    assert (tx.request.headers.text(b"user-agent"), tx.response.status) == ("old browser", 206)
    assert tx.response.headers.text(b"content-type") == "text/html"
    odd = asked(record(1, point="respmod", user_agent="a\r\nB: c", mime=7, http_status="x"))
    assert (odd.headers, odd.response) == ((), Answered())
    assert "user_agent" in told(tmp_path, record(1, point="respmod", user_agent="x" * 200))


def test_what_the_switches_withhold_is_told(tmp_path: Path) -> None:
    found = told(tmp_path, record(1, point="respmod"), Withheld(query=True, clients=True, users=True))
    assert found["regex"].why == "what follows the ? is not recorded"
    assert found["client"].rules == found["user"].rules == ("secrets",)
    cut = told(tmp_path, record(1, point="respmod", url="http://a.example/" + "a" * 4079))
    assert cut["regex"].why == "the URL was cut"
