"""Decisions: order, first match, exclusions, unknown facts, and every name of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.policy import Block, Decision, Redirect, Refuse
from icapd.transaction import Point, Transaction
from tests.policy.asking import early, outcome, policy, transaction

if TYPE_CHECKING:
    from pathlib import Path


def test_no_rule_allows(tmp_path: Path) -> None:
    decision = policy(tmp_path, "access: []").decide(transaction())
    assert (type(decision.action).__name__, decision.stage, decision.rule) == ("Allow", "default", None)


def test_the_first_rule_that_matches_ends_the_stage(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
access:
  - {name: a, when: {host: [a.test]}, action: allow}
  - {name: b, when: {host: [test]}, action: block}
  - {name: c, when: {host: [c.test]}, action: allow}
""",
    )
    assert outcome(rules, transaction(target="http://a.test/")) == "allow: a"
    assert outcome(rules, transaction(target="http://c.test/")) == "block: b"
    assert outcome(rules, transaction(target="http://x.example/")) == "allow"


def test_a_bypass_skips_access(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
bypass:
  - {name: in, when: {host: [a.test], method: [GET]}}
access:
  - {name: out, action: block}
""",
    )
    assert outcome(rules, transaction(target="http://a.test/")) == "bypass: in"
    assert outcome(rules, transaction("POST", "http://a.test/")) == "block: out"
    assert rules.decide(transaction(target="http://a.test/")).stage == "bypass"


def test_unless_is_and_inside_and_or_between(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
access:
  - name: out
    when: {host: [a.test]}
    unless:
      - {user: [alice], method: [GET]}
      - {client: [10.0.0.0/8]}
    action: block
""",
    )

    def ask(method: str, user: str | None = None, client: str | None = None) -> str:
        return outcome(rules, transaction(method, "http://a.test/", user=user, client=client))

    assert ask("GET", "alice") == "allow"
    assert ask("POST", "alice") == "block: out"
    assert ask("GET", "bob") == "block: out"
    assert ask("POST", "bob", "10.9.9.9") == "allow"
    assert ask("GET") == "block: out"


def test_after_an_exclusion_the_next_rule_is_asked(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
access:
  - {name: one, when: {host: [a.test]}, unless: [{method: [CONNECT]}], action: block}
  - {name: two, when: {port: ["8000-8999"]}, action: block}
""",
    )
    assert outcome(rules, transaction("CONNECT", "a.test:443")) == "allow"
    assert outcome(rules, transaction("CONNECT", "a.test:8443")) == "block: two"
    assert outcome(rules, transaction("GET", "https://a.test/")) == "block: one"


def test_a_path_is_unknown_at_connect_and_decides_inside(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
access:
  - {name: path, when: {url: [https://a.test/bad]}, action: block}
  - {name: all, when: {host: [a.test]}, action: block}
""",
    )
    decision = rules.decide(transaction("CONNECT", "a.test:443"))
    assert decision.stage == "default"
    assert decision.undecided is rules.access[0]
    assert outcome(rules, transaction("CONNECT", "b.test:443")) == "allow"
    assert outcome(rules, transaction("GET", "https://a.test/bad/x")) == "block: path"
    assert outcome(rules, transaction("GET", "https://a.test/good")) == "block: all"


def test_an_unknown_bypass_exempts_nothing(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
bypass:
  - {name: path, when: {url: [https://a.test/ok]}}
  - {name: host, when: {host: [a.test]}}
access:
  - {name: out, when: {host: [a.test]}, action: block}
""",
    )
    assert outcome(rules, transaction("CONNECT", "a.test:443")) == "block: out"
    assert outcome(rules, transaction("GET", "https://a.test/ok")) == "bypass: path"
    assert outcome(rules, transaction("GET", "https://a.test/other")) == "bypass: host"


def test_an_unknown_exclusion_leaves_the_rule_undecided(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
access:
  - {name: out, when: {host: [a.test]}, unless: [{url: [https://a.test/ok]}], action: block}
""",
    )
    assert rules.decide(transaction("CONNECT", "a.test:443")).undecided is rules.access[0]
    assert outcome(rules, transaction("GET", "https://a.test/ok")) == "allow"
    assert outcome(rules, transaction("GET", "https://a.test/no")) == "block: out"


def test_a_user_who_never_logged_in_is_absent_not_unknown(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
access:
  - {name: alice, when: {user: [alice], host: [test]}, action: block}
  - {name: inside, when: {client: [10.0.0.0/8], host: [test]}, action: block}
  - {name: all, when: {host: [a.test]}, action: block}
""",
    )
    assert outcome(rules, transaction(target="http://a.test/")) == "block: all"
    assert outcome(rules, transaction(target="http://a.test/", client="-")) == "block: all"
    assert rules.decide(early("a.test")).undecided is rules.access[0]


NAMES = [
    transaction("GET", "http://good.test/", "Host: evil.test"),
    transaction("GET", "http://good.test/", "Host: good.test", "Host: evil.test"),
    transaction("GET", "http://good.test/", "Host: good.test", sni="evil.test"),
    transaction("GET", "http://good.test/", "Host: good.test", connect_host="evil.test"),
    transaction("GET", "http://evil.test/", "Host: good.test", sni="good.test", connect_host="good.test"),
    transaction("CONNECT", "good.test:443", "Host: evil.test", sni="good.test"),
    transaction("CONNECT", "good.test:443", sni="EVIL.test."),
]


@pytest.mark.parametrize("tx", NAMES, ids=range(len(NAMES)))
def test_any_name_blocks_and_only_all_names_exempt(tmp_path: Path, tx: Transaction) -> None:
    rules = policy(
        tmp_path,
        """
lists: {good: {domains: [good]}}
bypass:
  - {name: good, when: {host: [good.test]}}
  - {name: listed, when: {list: [good]}}
  - {name: url, when: {url: [good.test]}}
access:
  - {name: good too, when: {host: [good.test]}, action: allow}
  - {name: evil, when: {host: [evil.test]}, unless: [{host: [good.test]}], action: block}
  - {name: rest, action: block}
""",
        good="good.test\n",
    )
    assert outcome(rules, tx) == "block: evil"
    every = transaction(
        "GET", "http://good.test/", "Host: good.test:80", sni="good.test", connect_host="www.good.test"
    )
    assert outcome(rules, every) == "bypass: good"


def test_an_exemption_is_lost_by_any_name_that_its_exclusion_has(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
bypass:
  - {name: all but evil, when: {host: [test]}, unless: [{host: [evil.test]}]}
""",
    )
    assert outcome(rules, transaction()) == "bypass: all but evil"
    assert outcome(rules, transaction("GET", "http://good.test/", sni="evil.test")) == "allow"


@pytest.mark.parametrize(
    "tx",
    [
        transaction("GET", "http://ev%20il/"),
        transaction("CONNECT", "https:443"),
        transaction("GET", "http://a.test/", "Host: a@b"),
        transaction("GET", "http://a.test/", sni="a b"),
        transaction("GET", "/"),
    ],
    ids=range(5),
)
def test_an_ill_formed_target_is_refused_under_any_rule(tmp_path: Path, tx: Transaction) -> None:
    rules = policy(tmp_path, "bypass:\n- {name: all}\ntls:\n- {name: all, action: splice}\n")
    decision = rules.decide(tx)
    assert isinstance(decision.action, Refuse)
    assert decision.action.reason.isprintable()
    assert decision.stage == "target"
    assert rules.explain(tx) == decision
    assert rules.decide_tls(tx).action == "terminate"


def test_the_category_is_the_list_that_decided(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
lists: {games: {domains: [games]}, dating: {domains: [dating]}, other: {domains: [other]}}
access:
  - {name: out, when: {list: [games, dating]}, action: block}
""",
        games="a.test\nb.test\n",
        dating="b.test\n",
        other="a.test\n",
    )
    assert rules.decide(transaction(target="http://x.a.test/")).category == "games"
    assert rules.decide(transaction(target="http://b.test/")).category == "games, dating"
    assert rules.decide(transaction(target="http://c.test/")).category is None


def test_a_redirect_has_its_template(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        'access:\n- {name: r, when: {host: [a.test]}, action: {redirect: "https://b.test/?u={url}"}}',
    )
    action = rules.decide(transaction(target="http://a.test/")).action
    assert isinstance(action, Redirect)
    assert action.template.names == {"url"}


TLS = """
tls:
  - {name: path, when: {url: [https://a.test/x]}, action: splice}
  - {name: evil, when: {host: [evil.test]}, action: terminate}
  - {name: bank, when: {host: [bank.test]}, action: splice}
  - {name: sni, when: {host: [sni.test]}, action: splice_if_sni_matches}
  - {name: no, when: {host: [no.test]}, action: bump}
  - {name: test, when: {host: [test]}, action: splice}
"""


@pytest.mark.parametrize(
    ("target", "sni", "action", "rule"),
    [
        ("bank.test:443", None, "splice", "bank"),
        ("bank.test:443", "bank.test", "splice", "bank"),
        ("bank.test:443", "evil.test", "terminate", "evil"),
        ("bank.test:443", "other.example", "bump", None),
        ("sni.test:443", None, "splice_if_sni_matches", "sni"),
        ("no.test:443", None, "bump", "no"),
        ("x.test:443", "no.test", "bump", "no"),
        ("a.test:443", None, "bump", None),
        ("other.example:443", None, "bump", None),
    ],
)
def test_tls_rules_splice_strictly_and_end_generously(
    tmp_path: Path, target: str, sni: str | None, action: str, rule: str | None
) -> None:
    rules = policy(tmp_path, TLS)
    tx = transaction("CONNECT", target, sni=sni)
    decision = rules.decide_tls(tx)
    assert (decision.action, decision.rule and decision.rule.name) == (action, rule)
    explained = rules.explain_tls(tx)
    assert (explained.action, explained.rule) == (decision.action, decision.rule)
    assert explained.trace


def test_a_trace_says_what_each_criterion_found(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
access:
  - {name: one, when: {host: [b.test]}, action: block}
  - name: two
    when: {host: [a.test], method: [GET]}
    unless: [{user: [bob]}]
    action: block
  - {name: three, action: block}
""",
    )
    decision = rules.explain(transaction(target="http://a.test/", user="alice"))
    assert isinstance(decision.action, Block)
    assert [(step.rule.name, step.truth) for step in decision.trace] == [("one", False), ("two", True)]
    assert [(c.part, c.criterion, c.wanted, c.found, c.truth) for c in decision.trace[1].checks] == [
        ("when", "host", ("a.test",), "a.test", True),
        ("when", "method", ("GET",), "GET", True),
        ("unless 1", "user", ("bob",), "alice", False),
    ]
    assert rules.decide(transaction(target="http://a.test/")).trace == ()


def test_the_point_with_no_request_decides_by_its_names(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
access:
  - {name: connect, when: {method: [CONNECT], host: [a.test]}, action: block}
  - {name: port, when: {port: [443], host: [b.test]}, action: block}
  - {name: last, when: {host: [b.test]}, action: block}
""",
    )
    assert outcome(rules, early(sni="www.a.test")) == "block: connect"
    assert rules.decide(early(connect_host="b.test")).undecided is rules.access[1]
    assert rules.decide(early()).undecided is rules.access[0]


def test_a_response_is_decided_by_its_request(tmp_path: Path) -> None:
    rules = policy(tmp_path, "access:\n- {name: a, when: {host: [a.test]}, action: block}")
    assert outcome(rules, transaction(target="http://a.test/", point=Point.RESPMOD)) == "block: a"


def test_decisions_are_values(tmp_path: Path) -> None:
    rules = policy(tmp_path, "access:\n- {name: a, when: {host: [a.test]}, action: block}")
    first, second = (rules.decide(transaction(target="http://a.test/")) for _ in range(2))
    assert first == second == Decision(Block(), "access", rules.access[0])
