"""The decision line: one JSON object a line, whatever the client sends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from icapd.events import decision_line
from icapd.http import RequestHead, ResponseHead
from icapd.policy import Allow, Block, Decision, load_policy
from icapd.transaction import Client, Point, Transaction
from icapd.verdicts import Finding, Kind, ScanError

if TYPE_CHECKING:
    from pathlib import Path

KEYS = [
    *["time", "id", "point", "method", "url", "client", "user"],
    *["action", "stage", "rule", "source", "category", "status"],
]
ALLOWED = Decision(Allow(), "default")
HEAD = b"GET http://a.example/ HTTP/1.1\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n"


def transaction(head: bytes = HEAD, **facts: str) -> Transaction:
    return Transaction(Point.REQMOD, Client(**facts), RequestHead(head), now=1_700_000_000.25)  # type: ignore[arg-type]


def closed(*args: Any, **kwargs: Any) -> str:
    return decision_line(*args, **kwargs) + "}\n"


def line(tx: Transaction, decision: Decision | None = ALLOWED, url: str = "http://a.example/") -> str:
    return closed(tx, decision, decision_id="k3v7q2xa-1f", url=url, status=204)


def test_an_allowed_request() -> None:
    text = line(transaction(address="192.0.2.1"))
    assert text == (
        '{"time":"2023-11-14T22:13:20.250Z","id":"k3v7q2xa-1f","point":"reqmod","method":"GET",'
        '"url":"http://a.example/","client":"192.0.2.1","user":null,"action":"allow","stage":"default",'
        '"rule":null,"source":null,"category":null,"status":204}\n'
    )


def test_a_rule_is_named_with_its_place_and_its_lists(tmp_path: Path) -> None:
    (tmp_path / "games").write_text("a.example\n")
    file = tmp_path / "policy.yaml"
    file.write_text(
        "lists: {games: {domains: [games]}}\n"
        "access:\n"
        '  - {name: no "fun", when: {list: [games]}, action: block}\n'
    )
    tx = transaction()
    record = json.loads(line(tx, load_policy(file).decide(tx)))
    assert list(record) == KEYS
    assert (record["action"], record["stage"], record["rule"]) == ("block", "access", 'no "fun"')
    assert (record["source"], record["category"]) == (f"{file}:3", "games")


def test_no_decision_is_an_error() -> None:
    record = json.loads(line(transaction(), None))
    assert list(record) == KEYS
    assert (record["action"], record["stage"], record["rule"]) == ("error", "error", None)


def test_a_transaction_without_request() -> None:
    record = json.loads(line(Transaction(Point.RESPMOD), url=""))
    assert (record["point"], record["method"], record["url"]) == ("respmod", None, "")


def test_credentials_are_not_in_it() -> None:
    assert "c2Vj" not in line(transaction())


@given(st.text(), st.text(), st.text())
def test_hostile_values_stay_inside_their_strings(url: str, user: str, address: str) -> None:
    text = line(transaction(user=user, address=address), url=url)
    assert text.isascii()
    assert text.endswith("}\n")
    assert text.isprintable() or text[:-1].isprintable()
    record = json.loads(text)
    assert list(record) == KEYS
    assert record["url"] == url[:4096]
    assert (record["user"], record["client"]) == (user, address)


def test_a_line_break_and_an_escape_are_spelled_out() -> None:
    assert r"a\r\nb\u001b[2J\u202e" in line(transaction(), url="a\r\nb\x1b[2J\u202e")


def test_long_values_are_cut() -> None:
    tx = transaction(b"G" * 60_000 + b" http://a.example/ HTTP/1.1\r\n\r\n")
    text = line(tx, url="x" * 60_000)
    assert len(text) < 5_000
    assert json.loads(text)["method"] == "G" * 64


def test_what_scanning_found_is_in_the_line() -> None:
    hostile = "EICAR\r\n\x1b[2J\u202e" + "x" * 500
    found = Finding(Kind.MALWARE, hostile, "clamd", "a.zip/b")
    decision = Decision(Block(), "default_protection", findings=(found,), violations=(found,))
    text = closed(
        transaction(),
        decision,
        decision_id="7f",
        url="http://a.example/",
        status=200,
        scan="cached",
        late=True,
    )
    record = json.loads(text)
    assert text[:-1].isprintable()
    assert list(record) == [*KEYS[:-1], "scan", "late", "threat", "findings", "status"]
    assert (record["scan"], record["late"], record["threat"]) == ("cached", True, hostile[:200])
    assert record["findings"] == [
        {"kind": "malware", "threat": hostile[:200], "by": "clamd", "where": "a.zip/b"}
    ]


def test_heads_are_in_the_line_of_what_does_not_just_pass(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        "access:\n"
        "  - {when: {host: [a.example]}, action: block}\n"
        "  - {when: {host: [b.example], user_agent: [bad*]}, action: block}\n"
    )
    policy = load_policy(file)
    agent = b"User-Agent: bad \x1b" + b"x" * 500
    for host, told in (("a", False), ("b", True), ("c", False)):
        tx = transaction(b"GET http://%b.example/ HTTP/1.1\r\n%b\r\n\r\n" % (host.encode(), agent))
        record = json.loads(line(tx, policy.decide(tx)))
        assert record.get("user_agent") == (agent[12:212].decode() if told else None)
    tx = transaction(b"GET http://a.example/ HTTP/1.1\r\nUser-Agent: x\r\n\r\n")
    tx.response = ResponseHead(b"HTTP/1.1 206 OK\r\nContent-Type: Text/HTML; charset=x\r\n\r\n")
    tx.point = Point.RESPMOD
    found = (Finding(Kind.MALWARE, "E", "clamd"),)
    record = json.loads(line(tx, Decision(Block(), "default_protection", findings=found, violations=found)))
    assert (record["http_status"], record["mime"], record["user_agent"]) == (206, "text/html", "x")
    assert "mime" not in json.loads(line(tx))


def test_who_could_not_look_is_in_the_line() -> None:
    errors = (ScanError("clamd", "gone", "open"),)
    passed = json.loads(line(transaction(), Decision(Allow(), "default_protection", errors=errors)))
    assert (passed["unscanned"], passed["errors"]) == (["clamd"], [{"by": "clamd", "text": "gone"}])
    unseen = (Finding(Kind.UNSCANNABLE, "", "clamd"),)
    closed = Decision(Block(), "default_protection", violations=unseen, errors=errors)
    record = json.loads(line(transaction(), closed))
    assert (record["unscanned"], record["findings"], record["threat"]) == ([], [], "")


def test_of_many_findings_the_worst_are_told_and_the_rest_counted() -> None:
    found = tuple(Finding(Kind.MACRO, "m", "content", str(n)) for n in range(1000))
    record = json.loads(line(transaction(), Decision(Allow(), "default_protection", findings=found)))
    assert len(record["findings"]) == 20
    assert record["findings_more"] == 980


def test_rules_in_shadow_mode_are_recorded_as_what_they_would_have_done(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        "bypass:\n"
        '  - {name: "by", when: {host: [a.example]}, mode: shadow}\n'
        "access:\n"
        "  - {name: tried, when: {host: [a.example]}, action: block, mode: shadow}\n"
        "  - {name: in force, when: {host: [a.example]}, action: {redirect: 'https://b.example/'}}\n"
    )
    tx = transaction()
    record = json.loads(line(tx, load_policy(file).decide(tx)))
    assert (record["action"], record["rule"]) == ("redirect", "in force")
    assert record["shadow"] == [
        {"rule": "by", "source": f"{file}:2", "action": "bypass"},
        {"rule": "tried", "source": f"{file}:4", "action": "block"},
    ]
    assert list(record) == [*KEYS[:-1], "shadow", "status"]


def test_a_shadow_alone_changes_nothing_but_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("access:\n  - {name: tried, when: {host: [a.example]}, action: block, mode: shadow}\n")
    tx = transaction()
    record = json.loads(line(tx, load_policy(file).decide(tx)))
    assert (record["action"], record["stage"], record["rule"]) == ("allow", "default", None)
    assert [one["rule"] for one in record["shadow"]] == ["tried"]


def test_a_tls_rule_in_shadow_mode_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("tls:\n  - {name: bank, when: {host: [a.example]}, action: splice, mode: shadow}\n")
    policy = load_policy(file)
    tx = transaction(b"CONNECT a.example:443 HTTP/1.1\r\n\r\n")
    text = closed(
        tx, policy.decide(tx), decision_id="x", url="a.example:443", status=204, tls=policy.decide_tls(tx)
    )
    record = json.loads(text)
    assert (record["tls"], record["tls_rule"]) == ("bump", None)
    assert record["tls_shadow"] == [{"rule": "bank", "source": f"{file}:2", "action": "splice"}]
