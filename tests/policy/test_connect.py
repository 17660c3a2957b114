"""What a CONNECT comes to, for each of the ways a policy can treat it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.policy import effect, is_for_inner, load_policy
from tests.policy.asking import transaction

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.policy import Effect, Policy

POLICY = """\
bypass:
  - {name: opened, when: {method: [CONNECT], host: [opened.test, opened-spliced.test]}}
access:
  - {name: excluded, when: {host: [excluded.test]}, unless: [{method: [CONNECT]}], action: block}
  - {name: ended, when: {host: [ended.test]}, action: block, connect: end}
  - {name: moved, when: {host: [moved.test]}, action: {redirect: "https://help.test/"}}
  - {name: moved end, when: {host: [moved-end.test]}, action: {redirect: "https://help.test/"}, connect: end}
  - {name: page, when: {host: [page.test, opened.test, opened-spliced.test]}, action: block}
  - {name: path, when: {url: ["https://path.test/secret"]}, action: block}
tls:
  - {name: bank, when: {host: [bank.test, opened-spliced.test]}, action: splice}
  - {name: cut, when: {host: [cut.test]}, action: terminate}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return load_policy(tmp_path / "policy.yaml")


def came_to(policy: Policy, host: str, *, bumps: bool = True) -> Effect:
    tx = transaction("CONNECT", f"{host}:443", f"Host: {host}:443")
    decision = policy.decide(tx)
    inner = is_for_inner(policy, tx, decision)
    return effect(decision, policy.decide_tls(tx), location="https://help.test/", bumps=bumps, inner=inner)


@pytest.mark.parametrize(
    ("host", "browser", "certificate", "contacted"),
    [
        ("page.test", "the block page (403)", "bump CA", False),
        ("moved.test", "a redirect (302) to https://help.test/", "bump CA", False),
        ("ended.test", "its own error", None, False),
        ("moved-end.test", "its own error", None, False),
        ("excluded.test", "what the requests inside are answered", "bump CA", False),
        ("path.test", "what the requests inside are answered", "bump CA", False),
        ("opened.test", "what the requests inside are answered", "bump CA", False),
        ("opened-spliced.test", "the site, unread", "server", True),
        ("bank.test", "the site, unread", "server", True),
        ("cut.test", "its own error", None, False),
        ("other.test", "the site, each request", "bump CA", True),
    ],
)
def test_with_decryption(
    policy: Policy, host: str, browser: str, certificate: str | None, contacted: bool
) -> None:
    came = came_to(policy, host)
    assert came.browser.startswith(browser)
    assert came.contacted is contacted
    assert (came.certificate is None) is (certificate is None)
    assert certificate is None or certificate in str(came.certificate)


def test_without_decryption(policy: Policy) -> None:
    assert came_to(policy, "page.test", bumps=False).certificate is None
    assert came_to(policy, "excluded.test", bumps=False).browser.startswith("the site, unread")


def test_what_a_bypass_opens(policy: Policy) -> None:
    assert "requests inside are asked about" in str(came_to(policy, "opened.test").opens)
    assert "whole tunnel" in str(came_to(policy, "opened-spliced.test").opens)
    assert "whole tunnel" in str(came_to(policy, "opened.test", bumps=False).opens)
    assert came_to(policy, "other.test").opens is None


def test_where_only_an_address_is_known_names_stay_unknown(policy: Policy) -> None:
    tx = transaction("CONNECT", "192.0.2.1:443", "Host: 192.0.2.1:443")
    tx.nameless = True
    decision = policy.decide(tx)
    assert type(decision.action).__name__ == "Allow"
    assert decision.undecided is not None
    assert not is_for_inner(policy, tx, decision)
    assert policy.decide_tls(tx).undecided is not None


@pytest.mark.parametrize(
    "entry", ["{name: x, connect: end, action: allow}", "{name: x, connect: never, action: block}"]
)
def test_connect_where_it_says_nothing(tmp_path: Path, entry: str) -> None:
    (tmp_path / "policy.yaml").write_text(f"access: [{entry}]\n")
    with pytest.raises(Exception, match="connect"):
        load_policy(tmp_path / "policy.yaml")


@pytest.mark.parametrize("stage", ["bypass", "tls"])
def test_connect_in_another_stage(tmp_path: Path, stage: str) -> None:
    action = "allow" if stage == "bypass" else "bump"
    (tmp_path / "policy.yaml").write_text(f"{stage}: [{{name: x, connect: end, action: {action}}}]\n")
    with pytest.raises(Exception, match="`connect` is for access rules"):
        load_policy(tmp_path / "policy.yaml")
