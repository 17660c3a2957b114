"""An explanation asks the points that Squid would, and says what comes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from icapd.policy.explain import as_json, explain, shown, waits_for
from icapd.policy.question import Question, read_question
from icapd.verdicts import Finding, Kind
from tests.policy.asking import policy

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.policy.explain import Explanation

TEXT = """\
lists:
  bad: {domains: [bad]}
bypass:
  - {name: updates, when: {host: [updates.example]}}
access:
  - {name: folder, when: {url: [files.example/games]}, action: block}
  - {name: bad, when: {list: [bad]}, action: block}
  - {name: maybe, when: {host: [maybe.example]}, action: block, mode: shadow}
  - {name: moved, when: {host: [old.example]}, action: {redirect: "https://new.example/"}}
  - {name: video, when: {mime: ["video/*"]}, unless: [{host: [ok.example]}], action: block}
tls:
  - {name: bank, when: {host: [bank.example]}, action: splice}
  - {name: never, when: {host: [end.example]}, action: terminate}
"""


@pytest.fixture
def ask(tmp_path: Path) -> Any:
    loaded = policy(tmp_path, TEXT, bad="bad.example\n")

    def ask(method: str, uri: str, **more: Any) -> Explanation:
        return explain(loaded, read_question({"method": method, "uri": uri, **more}, 0.0))

    return ask


def summary(explanation: Explanation) -> tuple[str, str, str | None]:
    out = as_json(explanation, location=None)
    return out["point"], out["action"], out["rule"]


def test_a_request_alone_is_asked_once(ask: Any) -> None:
    assert summary(ask("GET", "http://bad.example/")) == ("reqmod", "block", "bad")
    assert summary(ask("GET", "http://updates.example/")) == ("reqmod", "bypass", "updates")
    assert summary(ask("GET", "http://other.example/")) == ("reqmod", "allow", None)


def test_a_response_is_asked_about_where_the_request_passes(ask: Any) -> None:
    video = {"response": {"headers": {"Content-Type": "video/mp4"}}}
    assert summary(ask("GET", "http://a.example/", **video)) == ("respmod", "block", "video")
    assert summary(ask("GET", "http://ok.example/", **video)) == ("respmod", "allow", None)
    assert summary(ask("GET", "http://bad.example/", **video)) == ("reqmod", "block", "bad")
    assert summary(ask("CONNECT", "a.example:443", **video)) == ("connect", "allow", None)


def test_what_waits_is_named(ask: Any) -> None:
    tunnel = ask("CONNECT", "files.example:443")
    assert waits_for(tunnel.last.decision) == ("url",)
    assert as_json(tunnel, location=None)["undecided"] == "folder"
    assert waits_for(ask("GET", "http://a.example/").last.decision) == ("mime",)
    assert waits_for(ask("GET", "http://bad.example/").last.decision) == ()


def test_shadow_changes_nothing_and_is_told(ask: Any) -> None:
    out = as_json(ask("GET", "http://maybe.example/"), location=None)
    assert (out["action"], out["shadow"]) == ("allow", ["maybe"])


@pytest.mark.parametrize(
    ("method", "uri", "bumps", "said"),
    [
        (
            "CONNECT",
            "bad.example:443",
            True,
            "the block page, inside the tunnel; the server is not contacted",
        ),
        ("CONNECT", "bad.example:443", False, "the connection is ended"),
        ("connect", "bad.example:443", True, "the connection is ended"),
        ("CONNECT", "old.example:443", True, "a redirect to LOCATION, inside the tunnel"),
        ("CONNECT", "bank.example:443", True, "the tunnel opens unread"),
        ("CONNECT", "end.example:443", True, "the connection is ended before anything is sent"),
        ("CONNECT", "a.example:443", True, "Squid decrypts it: each request inside is asked about again"),
        ("CONNECT", "a.example:443", False, "the tunnel opens unread"),
        ("CONNECT", "https:443", True, "the connection is ended: 'https:443' is not host:port"),
        ("GET", "http://bad.example/", True, "the block page (403)"),
        ("GET", "http://old.example/", True, "a redirect (302) to LOCATION"),
        ("GET", "http://updates.example/", True, "what the server answers"),
        ("GET", "http://a b/", True, "an error page: "),
    ],
)
def test_what_the_user_gets(ask: Any, method: str, uri: str, bumps: bool, said: str) -> None:
    assert said in shown(ask(method, uri).last, location="LOCATION", bumps=bumps)


def test_a_late_block_says_that_the_request_went_out(ask: Any) -> None:
    asked = ask("GET", "http://a.example/", response={"headers": {"Content-Type": "video/mp4"}})
    assert "has reached the server" in shown(asked.last, location=None)
    passed = ask("GET", "http://a.example/", response={"status": 200})
    assert shown(passed.last, location=None) == "the response as it came"


def test_the_trace_has_every_rule_looked_at_with_what_it_found(ask: Any) -> None:
    out = as_json(ask("CONNECT", "bank.example:443"), location=None)
    assert [line["stage"] for line in out["trace"]] == [
        "bypass",
        "access",
        "access",
        "access",
        "access",
        "access",
        "tls",
    ]
    first, last = out["trace"][0], out["trace"][-1]
    assert first["checks"] == [
        {
            "part": "when",
            "criterion": "host",
            "wanted": ["updates.example"],
            "found": "bank.example",
            "truth": False,
        }
    ]
    assert (last["rule"], last["truth"], out["tls"]) == ("bank", True, {"action": "splice", "rule": "bank"})
    assert last["source"].endswith("policy.yaml:12")


def test_the_same_facts_decide_and_explain(tmp_path: Path) -> None:
    loaded = policy(tmp_path, TEXT, bad="bad.example\n")
    for uri in ("http://bad.example/", "http://old.example/", "http://a.example/", "http://b\\ad.example/"):
        explanation = explain(loaded, Question("GET", uri, 0.0))
        assert explanation.last.tx is not None
        decided = loaded.decide(explanation.last.tx)
        assert (decided.action, decided.rule) == (
            explanation.last.decision.action,
            explanation.last.decision.rule,
        )


PROTECTED = """\
access:
  - {name: out, when: {host: [out.example]}, action: block}
protection:
  - {name: office, when: {file_type: [docx]}, scan: {macro: skip, encrypted: block}, adapters: [clamd]}
default_protection: {encrypted: skip}
"""


@pytest.fixture
def scan(tmp_path: Path) -> Any:
    loaded = policy(tmp_path, PROTECTED)

    def scan(**more: Any) -> dict[str, Any]:
        question = read_question({"uri": "http://a.example/", **more}, 0.0)
        return as_json(explain(loaded, question), location=None)

    return scan


def test_findings_are_put_to_protection(scan: Any) -> None:
    out = scan(findings=["malware=EICAR", "encrypted=zip"])
    assert (out["action"], out["stage"], out["rule"], out["threat"]) == (
        "block",
        "default_protection",
        None,
        "EICAR",
    )
    assert [(one["kind"], one["blocked"]) for one in out["findings"]] == [
        ("malware", True),
        ("encrypted", False),
    ]
    assert scan(findings=["encrypted=zip"])["action"] == "allow"


def test_the_rule_that_applies_is_shown_whatever_is_found(scan: Any) -> None:
    out = scan(response={}, body={"file_type": "docx"})
    assert (out["action"], out["stage"], out["findings"]) == ("allow", "default", [])
    applies = out["protection"]
    assert (applies["stage"], applies["rule"], applies["adapters"]) == ("protection", "office", ["clamd"])
    assert "macro" in applies["skips"]
    assert "encrypted" in applies["blocks"]
    assert [(line["point"], line["stage"], line["truth"]) for line in out["trace"]][-1] == (
        "respmod",
        "protection",
        True,
    )
    assert scan(response={})["protection"]["stage"] == "default_protection"
    assert scan(uri="http://out.example/", findings=["malware=x"])["protection"] is None


def test_who_cannot_look_is_told(scan: Any) -> None:
    out = scan(errors=["clamd=open"])
    assert (out["action"], out["unscanned"]) == ("allow", ["clamd"])
    closed = scan(errors=["clamd"])
    assert (closed["action"], closed["unscanned"]) == ("block", [])


def test_what_heads_show_is_put_to_protection_at_each_point(tmp_path: Path) -> None:
    loaded = policy(tmp_path, PROTECTED)
    phish = Finding(Kind.PHISHING, "phish", "urls")
    question = read_question({"uri": "http://a.example/", "response": {}}, 0.0)
    first = explain(loaded, question, lambda _: (phish,))
    assert [one.name for one in first.asked] == ["reqmod"]
    assert (first.last.decision.threat, first.last.decision.stage) == ("phish", "default_protection")
    late = explain(loaded, question, lambda tx: (phish,) if tx.response is not None else ())
    assert [one.passes for one in late.asked] == [True, False]
