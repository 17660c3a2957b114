"""What is said of a host alone is what is decided of every request for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.http import HeadError
from icapd.policy import Allow, Block, Policy
from icapd.policy.facts import names_of
from tests.policy.asking import policy, transaction
from tests.policy.test_index import policies, transactions

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.transaction import Transaction


def host_of(tx: Transaction) -> str | None:
    """The one name of a request that has a path and whose addresses nobody told."""
    if tx.request is None or tx.addresses or tx.nameless:
        return None
    try:
        names = names_of(tx)
        has_path = tx.request.url.path is not None
    except HeadError:
        return None
    return names[0] if len(names) == 1 and has_path and names[0].isascii() else None


@given(policies(), st.lists(transactions(), min_size=1, max_size=6))
def test_a_host_and_its_requests_agree(rules: Policy, asked: list[Transaction]) -> None:
    for tx in asked:
        host = host_of(tx)
        told = None if host is None else rules.of_host(host)
        if told is not None:
            assert told == rules.decide(tx)


POLICY = """
access:
  - {name: but, when: {host: [but.test]}, unless: [{method: [GET]}], action: block}
  - {name: seen, mode: shadow, when: {host: [shadow.test]}, action: block}
  - {name: bad, when: {host: [bad.test]}, action: block}
  - {name: posts, when: {host: [post.test, bad.test], method: [POST]}, action: allow}
"""


@pytest.mark.parametrize("host", ["but.test", "shadow.test", "post.test"])
def test_where_more_counts_nothing_is_said(tmp_path: Path, host: str) -> None:
    assert policy(tmp_path, POLICY).of_host(host) is None


def test_the_first_rule_that_holds_is_told_and_later_ones_do_not_matter(tmp_path: Path) -> None:
    rules = policy(tmp_path, POLICY)
    blocked, allowed = rules.of_host("www.bad.test"), rules.of_host("good.test")
    assert blocked is not None
    assert allowed is not None
    assert (type(blocked.action), type(allowed.action)) == (Block, Allow)
    assert blocked == rules.decide(transaction(target="http://www.bad.test/x"))


def test_a_rule_for_all_counts_for_every_host(tmp_path: Path) -> None:
    rules = policy(tmp_path, POLICY + "  - {name: all, action: block}\n")
    told = rules.of_host("good.test")
    assert told == rules.decide(transaction())
