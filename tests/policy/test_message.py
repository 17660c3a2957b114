"""Criteria on the message at hand: direction, header fields, upgrades."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.transaction import Point
from tests.policy.asking import LAX, NO, UNKNOWN, YES, answered, both, early, outcome, policy, transaction

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.policy.match import Truth
    from icapd.transaction import Transaction

    Both = tuple[Truth, Truth]


def test_direction_is_known_at_every_point() -> None:
    assert both("direction", "Request", transaction()) == YES
    assert both("direction", "request", early()) == YES
    assert both("direction", "request", answered()) == NO
    assert both("direction", "response", answered()) == YES
    assert both("direction", "response | request", answered()) == YES


def get(*headers: str) -> Transaction:
    return transaction("GET", "http://a.test/", *headers)


@pytest.mark.parametrize(
    ("criterion", "value", "tx", "expected"),
    [
        ("header", "X-A: one*", get("x-a: One two"), LAX),
        ("header", "X-A: One*", get("x-a: One two"), YES),
        ("header", "X-A: one", get("X-A: two", "X-A: one"), LAX),
        ("header", "X-A: one", get("X-B: one"), NO),
        ("header", "X-A: one", get("XX-A: one"), NO),
        ("header", "X-A: one | X-B: *", get("X-B: any"), YES),
        ("header", "X-A", get("X-A: any"), YES),
        ("header", "X-A: a:b", get("X-A: a:b"), YES),
        ("header", "X-A:", get("X-A:"), YES),
        ("header", "X-A: one", answered("X-A: one"), YES),
        ("header", "X-A: one", answered(asked=("X-A: one",)), NO),
        ("header", "X-A: one", early("a.test"), UNKNOWN),
        ("header", "X-A: one", transaction(point=Point.RESPMOD), UNKNOWN),
        ("request_header", "X-A: one", get("X-A: one"), YES),
        ("request_header", "X-A: one", answered("X-A: one"), NO),
        ("request_header", "X-A: one", answered(asked=("X-A: one",)), YES),
        ("request_header", "X-A: one", early("a.test"), UNKNOWN),
        ("header", "X-A: \u00e9", get("X-A: \u00c9"), LAX),
    ],
)
def test_header(criterion: str, value: str, tx: Transaction, expected: Both) -> None:
    assert both(criterion, value, tx) == expected


@pytest.mark.parametrize(
    ("value", "tx", "expected"),
    [
        ("websocket", get("Upgrade: WebSocket"), YES),
        ("websocket", get("Upgrade: h2c, WebSocket"), LAX),
        ("websocket | H2C", get("Upgrade: h2c, WebSocket/13"), YES),
        ("websocket", get("Upgrade: h2c", "Upgrade: websocket"), LAX),
        ("websocket", get("X-Upgrade: websocket"), NO),
        ("websocket", get("Upgrade: websockets"), NO),
        ("websocket", get("Connection: upgrade"), NO),
        ("*", get("Upgrade: anything"), YES),
        ("*", get(), NO),
        ("websocket", transaction("GET", "wss://a.test/"), YES),
        ("websocket", answered(asked=("Upgrade: websocket",), status=101), YES),
        ("websocket", answered("Upgrade: websocket", status=101), YES),
        ("websocket", transaction("CONNECT", "a.test:443"), NO),
        ("websocket", early("a.test"), UNKNOWN),
    ],
)
def test_upgrade(value: str, tx: Transaction, expected: Both) -> None:
    assert both("upgrade", value, tx) == expected


def test_header_patterns_may_be_a_mapping(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
access:
  - {name: one, when: {header: {X-A: [one, two*], X-B: "*"}}, action: block}
  - {name: server, when: {direction: response, header: "Server: nginx*"}, action: block}
""",
    )
    assert rules.access[0].when[0].wanted == ("X-A: one", "X-A: two*", "X-B: *")
    assert outcome(rules, get("X-A: two too")) == "block: one"
    assert outcome(rules, get("X-A: three")) == "allow"
    assert outcome(rules, answered("Server: Nginx/1")) == "block: server"
    found = [check.found for step in rules.explain(answered("Server: x")).trace for check in step.checks]
    assert found == ["", "response", "server: x"]
