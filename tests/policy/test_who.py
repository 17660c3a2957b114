"""Criteria on who asks: groups, user agent, the proxy's port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.transaction import Client
from tests.policy.asking import LAX, NO, UNKNOWN, YES, answered, both, early, transaction

if TYPE_CHECKING:
    from icapd.policy.match import Truth
    from icapd.transaction import Transaction

    Both = tuple[Truth, Truth]


def member(*groups: str) -> Transaction:
    tx = transaction()
    tx.client = Client(groups=groups)
    return tx


@pytest.mark.parametrize(
    ("value", "tx", "expected"),
    [
        ("Staff", member("staff"), YES),
        ("staff", member("other", "STAFF"), YES),
        ("staff", member("staffers"), NO),
        ("staff", member(), NO),
        ("staff", transaction(), NO),
        ("staff", early("a.test"), UNKNOWN),
        ("st*", member("staff"), YES),
        ("*", member("staff"), YES),
        ("*", member(), NO),
        ("staff", member("CORP\\staff"), LAX),
        ("staff", member("corp.test/groups/staff"), LAX),
        ("staff", member("staff@CORP"), LAX),
        ("staff", member("CN=Staff,OU=Groups,DC=corp"), LAX),
        ("a, b", member("cn=a\\, b,ou=x"), LAX),
        ("cn=staff,ou=groups,dc=corp", member("CN=Staff,OU=Groups,DC=corp"), YES),
        ("groups", member("CN=Staff,OU=Groups,DC=corp"), NO),
    ],
)
def test_group(value: str, tx: Transaction, expected: Both) -> None:
    assert both("group", value, tx) == expected


def agent(*values: str, method: str = "GET", target: str = "http://a.test/") -> Transaction:
    return transaction(method, target, *(f"User-Agent: {value}" for value in values))


@pytest.mark.parametrize(
    ("value", "tx", "expected"),
    [
        ("*msie*", agent("Mozilla/4.0 (compatible; MSIE 6.0)"), YES),
        ("curl/8", agent("curl/8"), YES),
        ("curl", agent("curl/8"), NO),
        ("curl*", agent("wget", "curl/8"), LAX),
        ("*", agent(), NO),
        ("curl*", agent("curl/8", method="CONNECT", target="a.test:443"), YES),
        ("curl*", agent("wget", method="CONNECT", target="a.test:443"), NO),
        ("curl*", agent(method="CONNECT", target="a.test:443"), UNKNOWN),
        ("curl*", early("a.test"), UNKNOWN),
        ("curl*", answered(asked=("User-Agent: curl/8",)), YES),
        ("curl*", answered("User-Agent: curl/8"), NO),
    ],
)
def test_user_agent(value: str, tx: Transaction, expected: Both) -> None:
    assert both("user_agent", value, tx) == expected


def test_proxy_port() -> None:
    tx = transaction()
    assert both("proxy_port", "3128", tx) == NO
    assert both("proxy_port", "3128", early()) == UNKNOWN
    tx.proxy_port = 3129
    assert both("proxy_port", "3128", tx) == NO
    assert both("proxy_port", "3128-3130", tx) == YES
