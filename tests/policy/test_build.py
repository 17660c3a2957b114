"""Groups, workspaces, switches and shadow mode: which rules there are, in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.errors import ConfigErrors
from icapd.policy import Allow
from icapd.transaction import Client, Transaction
from tests.policy.asking import early, outcome, policy, transaction

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
workspaces:
  - name: labs
    when: {client: [10.1.0.0/16]}
    bypass:
      - {name: lab updates, when: {host: [updates.test]}}
    access:
      - {name: lab first, when: {host: [a.test, b.test]}, action: block}
      - group: more
        rules:
          - {name: lab second, when: {host: [c.test]}, action: block}
    tls:
      - {name: lab bank, when: {host: [bank.test]}, action: splice}
  - name: office
    when: {group: [staff], proxy_port: [3129]}
    access:
      - {name: lab first, when: {host: [a.test]}, action: allow}
  - name: rest
    enabled: false
    access:
      - {name: never, action: block}
access:
  - {name: above, when: {host: [a.test], path: /top}, action: block}
  - group: switched off
    enabled: no
    rules:
      - {name: off, action: block}
  - workspace_rules
  - group: below
    rules:
      - {name: below one, when: {host: [b.test]}, action: allow}
      - {name: below two, enabled: false, action: block}
      - {when: {host: [b.test, c.test, a.test]}, action: block}
"""


def ask(
    target: str, client: str = "192.0.2.1", groups: tuple[str, ...] = (), port: int | None = None
) -> Transaction:
    tx = transaction(target=target)
    tx.client, tx.proxy_port = Client(client, "u", groups), port
    return tx


def test_rules_stand_in_the_order_in_which_they_are_asked(tmp_path: Path) -> None:
    rules = policy(tmp_path, WHOLE)
    assert [(rule.name, rule.group, rule.workspace) for rule in rules.access] == [
        ("above", None, None),
        ("lab first", None, "labs"),
        ("lab second", "more", "labs"),
        ("lab first", None, "office"),
        ("below one", "below", None),
        ("below rule 3", "below", None),
    ]
    assert [(rule.name, rule.workspace) for rule in (*rules.bypass, *rules.tls)] == [
        ("lab updates", "labs"),
        ("lab bank", "labs"),
    ]
    assert [workspace.name for workspace in rules.workspaces] == ["labs", "office"]
    assert rules.access[2].source.endswith("policy.yaml:11")


def test_the_first_workspace_that_fits_is_chosen(tmp_path: Path) -> None:
    rules = policy(tmp_path, WHOLE)
    lab = "10.1.2.3"
    for tx, expected, workspace in (
        (ask("http://a.test/top", lab), "block: above", "labs"),
        (ask("http://a.test/x", lab), "block: lab first", "labs"),
        (ask("http://b.test/", lab), "block: lab first", "labs"),
        (ask("http://c.test/", lab), "block: lab second", "labs"),
        (ask("http://d.test/", lab), "allow", "labs"),
        (ask("http://updates.test/", lab), "bypass: lab updates", "labs"),
        (ask("http://updates.test/"), "allow", None),
        (ask("http://a.test/x"), "block: below rule 3", None),
        (ask("http://b.test/"), "allow: below one", None),
        (ask("http://a.test/x", "192.0.2.1", ("staff",), 3129), "allow: lab first", "office"),
        (ask("http://a.test/x", "192.0.2.1", ("staff",), 3128), "block: below rule 3", None),
        (ask("http://a.test/x", lab, ("staff",), 3129), "block: lab first", "labs"),
    ):
        assert outcome(rules, tx) == expected
        assert rules.decide(tx).workspace == workspace
    assert rules.decide_tls(ask("https://bank.test/", lab)).action == "splice"
    assert rules.decide_tls(ask("https://bank.test/")).action == "bump"


def test_a_workspace_not_known_yet_is_none(tmp_path: Path) -> None:
    rules = policy(tmp_path, WHOLE)
    assert rules.decide_tls(early("bank.test")).action == "bump"
    assert rules.decide(early("c.test")).workspace is None


def test_a_workspace_is_a_criterion_too(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
workspaces:
  - {name: labs, when: {client: 10.1.0.0/16}}
  - {name: rest}
access:
  - {name: out, when: {workspace: rest, host: [a.test]}, action: block}
""",
    )
    assert outcome(rules, ask("http://a.test/", "10.1.0.1")) == "allow"
    assert outcome(rules, ask("http://a.test/")) == "block: out"
    assert rules.decide(ask("http://b.test/")).workspace == "rest"


def test_workspaces_rules_stand_last_where_they_have_no_place(tmp_path: Path) -> None:
    text = WHOLE.replace("  - workspace_rules\n", "")
    assert [rule.name for rule in policy(tmp_path, text).access][-3:] == [
        "lab first",
        "lab second",
        "lab first",
    ]


SHADOW = """
bypass:
  - {name: s0, mode: shadow, when: {host: [a.test]}}
access:
  - {name: s1, mode: shadow, when: {host: [a.test]}, action: block}
  - {name: s2, mode: shadow, when: {url: [a.test/x]}, action: block}
  - {name: real, when: {host: [a.test], port: [81]}, action: block}
  - {name: s3, mode: shadow, when: {host: [test]}, action: {redirect: "https://b.test/"}}
tls:
  - {name: t1, mode: shadow, when: {host: [a.test]}, action: splice}
  - {name: t2, when: {host: [a.test]}, action: terminate}
"""


def test_shadow_rules_are_recorded_and_change_nothing(tmp_path: Path) -> None:
    rules = policy(tmp_path, SHADOW)

    def shadows(tx: Transaction) -> list[str]:
        return [rule.name for rule in rules.decide(tx).shadow]

    for tx, expected, recorded in (
        (transaction(target="http://a.test/"), "allow", ["s0", "s1", "s3"]),
        (transaction(target="http://a.test/x"), "allow", ["s0", "s1", "s2", "s3"]),
        (transaction(target="http://a.test:81/"), "block: real", ["s0", "s1"]),
        (transaction(target="http://b.test/"), "allow", ["s3"]),
        (transaction(target="http://b.example/"), "allow", []),
        (transaction("CONNECT", "a.test:81"), "block: real", ["s0", "s1"]),
    ):
        assert outcome(rules, tx) == expected
        assert shadows(tx) == recorded
    assert isinstance(rules.decide(transaction(target="http://a.test/")).action, Allow)
    assert rules.decide(transaction("CONNECT", "a.test:443")).undecided is None
    tls = rules.decide_tls(transaction("CONNECT", "a.test:443"))
    assert (tls.action, [rule.name for rule in tls.shadow]) == ("terminate", ["t1"])


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("access:\n- {group: g}", ["2: group 'g' has no `rules`", "2: an access rule's action is"]),
        ("access:\n- {rules: []}", ["2: `rules` make up a group: give its name as `group`"]),
        (
            "access:\n- {group: g, action: block, rules: []}",
            ["2: 'action' belongs into the rules of group 'g'"],
        ),
        ("access:\n- workspace_rules\n- workspace_rules", ["1: 'workspace_rules' stands in access twice"]),
        ("workspaces:\n- {name: a}\n- {name: a}", ["3: workspace 'a' is already at"]),
        (
            "workspaces:\n- {name: a, access: [workspace_rules]}",
            ["2: workspaces' rules have their place among the global rules"],
        ),
        ("workspaces:\n- {access: [{action: drop}]}", ["2: 'name' is missing", "2: an access rule's action"]),
        ("workspaces:\n- {name: a, when: {user: [x], host: [y]}}", ["2: unknown key 'host'"]),
        ("access:\n- {name: a, mode: shadows, action: block}", ["2: access.0.mode: "]),
        ("access:\n- {name: a, enabled: perhaps, action: block}", ["2: access.0.enabled: "]),
        (
            "access:\n- group: g\n  rules:\n  - {name: a, actoin: block}\n  - {name: b, action: drop}",
            ["4: unknown key 'actoin'; did you mean 'action'?", "5: an access rule's action is"],
        ),
        (
            "access:\n- {name: a, action: block}\n- {group: g, rules: [{name: a, action: block}]}",
            ["3: rule 'a' is already at"],
        ),
        ("access:\n- workspace_rule", ["2: access.0 must be a mapping"]),
        (
            "access:\n- {name: a, when: {schedule: {form: x}}, action: block}",
            ["2: access.0.when.schedule: unknown"],
        ),
        (
            "access:\n- {name: a, when: {workspace: b}, action: block}",
            ["2: workspace: unknown workspace 'b'"],
        ),
    ],
)
def test_a_fault_is_one_clear_line(tmp_path: Path, text: str, faults: list[str]) -> None:
    with pytest.raises(ConfigErrors) as caught:
        policy(tmp_path, text)
    lines = [line.partition("policy.yaml:")[2] for line in str(caught.value).splitlines()]
    assert len(lines) == len(faults)
    for line, fault in zip(lines, faults, strict=True):
        assert line.startswith(fault)
