"""Lists of names, URLs, addresses and digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.transaction import BodyFacts
from tests.policy.asking import (
    LAX,
    NO,
    UNKNOWN,
    YES,
    Lists,
    answered,
    both,
    early,
    outcome,
    policy,
    transaction,
)

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.policy.match import Truth
    from icapd.transaction import Transaction

LISTS = Lists({"a.test": "x", "10.0.0.1": "x"}, {"b.test/x": "x", "c.test/x": "y"}, x="192.0.2.1", y="0" * 32)


@pytest.mark.parametrize(
    ("tx", "expected"),
    [
        (transaction(target="http://w.a.test/"), YES),
        (transaction(target="http://d.test/"), NO),
        (transaction("GET", "http://d.test/", "Host: a.test"), LAX),
        (transaction(target="http://b.test/x/y"), YES),
        (transaction(target="http://b.test/y/%252e%252e/x"), LAX),
        (transaction(target="http://b.test/y"), NO),
        (transaction(target="http://c.test/x"), NO),
        (transaction("CONNECT", "b.test:443"), UNKNOWN),
        (transaction("CONNECT", "a.test:443"), YES),
        (transaction("CONNECT", "c.test:443"), NO),
        (transaction(target="http://[2002:a00:1::]/"), LAX),
        (early("b.test"), UNKNOWN),
        (early(), UNKNOWN),
    ],
)
def test_names_and_urls(tx: Transaction, expected: tuple[Truth, Truth]) -> None:
    assert both("list", "x", tx, lists=LISTS) == expected


def test_addresses_and_digests_only_ever_block() -> None:
    tx = transaction()
    tx.addresses = ("192.0.2.1",)
    assert both("list", "x", tx, lists=LISTS) == LAX
    assert both("list", "y", answered(body=BodyFacts(md5=("0" * 32,))), lists=LISTS) == LAX
    assert both("list", "y", answered(body=BodyFacts(md5=("1" * 32,))), lists=LISTS) == NO


POLICY = """
lists:
  bad: {domains: [d], urls: [u], expressions: [e], cidr: [c], category: Malware}
  hashes: {md5: [m]}
  more: {domains: [more], category: malware}
access:
  - {name: digest, when: {list: hashes, host: files.test}, action: block}
  - {name: category, when: {category: MALWARE}, action: block}
"""
FILES = {
    "d": "bad.test\n",
    "u": "half.test/bad\n",
    "e": "evil[0-9]+\n",
    "c": "192.0.2.0/24\n",
    "m": "0" * 32 + "\n",
    "more": "more.test\n",
}


def test_lists_of_every_kind_in_a_policy(tmp_path: Path) -> None:
    rules = policy(tmp_path, POLICY, **FILES)
    for target, expected in (
        ("http://w.bad.test/", "block: category"),
        ("http://half.test/bad/x", "block: category"),
        ("http://half.test/%62ad", "block: category"),
        ("http://half.test/good", "allow"),
        ("http://x.test/EVIL7", "block: category"),
        ("http://192.0.2.9/", "block: category"),
        ("http://more.test/", "block: category"),
        ("http://good.test/", "allow"),
    ):
        assert outcome(rules, transaction(target=target)) == expected, target
    assert rules.decide(transaction(target="http://bad.test/")).category == "Malware"
    assert rules.decide(transaction(target="http://more.test/")).category == "malware"
    assert rules.decide(transaction("CONNECT", "half.test:443")).undecided is rules.access[1]
    leads = transaction()
    leads.addresses = ("192.0.2.9",)
    assert outcome(rules, leads) == "block: category"
    files = "http://files.test/"
    assert rules.decide(answered(target=files, body_follows=True)).undecided is rules.access[0]
    assert outcome(rules, answered(target=files, body=BodyFacts(md5=("0" * 32,)))) == "block: digest"
    assert outcome(rules, answered(target=files, body=BodyFacts(md5=("1" * 32,)))) == "allow"
