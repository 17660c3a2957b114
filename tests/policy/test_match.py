"""Each criterion: what holds, strictly and generously, and what is unknown."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from icapd.policy.compile import compile_criterion
from icapd.policy.facts import Facts, names_of
from icapd.policy.match import Matcher, Truth, UserIs, parents
from tests.policy.asking import Lists, early, outcome, policy, transaction

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.transaction import Transaction


def truths(matcher: Matcher, tx: Transaction) -> tuple[Truth, Truth]:
    """Return (generous, strict)."""
    facts = Facts(tx, names_of(tx), Lists({"a.test": "x"}))
    return matcher.truth(facts, strict=False), matcher.truth(facts, strict=True)


def both(criterion: str, value: str, tx: Transaction) -> tuple[Truth, Truth]:
    return truths(compile_criterion(criterion, (value,), ["x"]), tx)


YES, NO, LAX, UNKNOWN = (True, True), (False, False), (True, False), (None, None)


@pytest.mark.parametrize(
    ("value", "host", "expected"),
    [
        ("a.test", "a.test", YES),
        ("a.test", "w.a.test", YES),
        ("a.test", "nota.test", NO),
        ("a.test", "test", NO),
        ("A.Test.", "a.test", YES),
        ("*.a.test", "a.test", YES),
        ("=a.test", "a.test", YES),
        ("=a.test", "w.a.test", NO),
        ("b\u00fccher.test", "xn--bcher-kva.test", YES),
        ("127.0.0.0/8", "127.1", YES),
        ("127.0.0.1", "0x7f000001", YES),
        ("127.0.0.0/8", "126.0.0.1", NO),
        ("127.0.0.0/8", "127.0.0.1.good.test", NO),
        ("127.0.0.0/8", "[::ffff:127.0.0.1]", YES),
        ("10.0.0.0/8", "[2002:a00:1::]", LAX),
        ("::1", "[0:0:0:0:0:0:0:1]", YES),
        ("fe80::/10", "[febf::1]", YES),
        ("fe80::/10", "[fec0::1]", NO),
        ("a00::/8", "10.1.2.3", NO),
        ("1.test", "1.1.1.1", NO),
    ],
)
def test_host(value: str, host: str, expected: tuple[Truth, Truth]) -> None:
    assert both("host", value, transaction(target=f"http://{host}/")) == expected


@pytest.mark.parametrize(
    ("value", "target", "expected"),
    [
        ("http://a.test/x", "http://a.test/x", YES),
        ("http://a.test/x", "http://a.test/x/", YES),
        ("http://a.test/x", "http://a.test/x/y", YES),
        ("http://a.test/x/", "http://a.test/x/y", YES),
        ("http://a.test/x", "http://a.test/xy", NO),
        ("http://a.test/x", "http://a.test/x.php", NO),
        ("http://a.test/x", "http://a.test/?u=/x", NO),
        ("http://a.test/x", "http://a.test/x?q", YES),
        ("http://a.test/x", "https://a.test/x", NO),
        ("http://a.test/x", "http://a.test:81/x", NO),
        ("http://a.test:81/x", "http://a.test:81/x", YES),
        ("a.test/x", "https://a.test:81/x", YES),
        ("a.test:81/x", "https://a.test/x", NO),
        ("a.test/x", "http://w.a.test/x", NO),
        ("*.a.test/x", "http://w.a.test/x", YES),
        ("*.a.test/x", "http://a.test/x", YES),
        ("*.a.test/x", "http://nota.test/x", NO),
        ("http://a.test", "http://a.test/", YES),
        ("a.test", "http://a.test/any?q", YES),
        ("http://a.test/x?b=1", "http://a.test/x?b=1", YES),
        ("http://a.test/x?b=1", "http://a.test/x?b=%31", YES),
        ("http://a.test/x?b=1", "http://a.test/x?b=2", NO),
        ("http://a.test/x?b=a", "http://a.test/x?b=A", LAX),
        ("=http://a.test/x", "http://a.test/x?q", YES),
        ("=http://a.test/x", "http://a.test/x/y", NO),
        ("=http://a.test/", "http://a.test/y", NO),
        ("a.test/x", "http://a.test/%78", YES),
        ("a.test/x", "http://a.test/X", LAX),
        ("a.test/X", "http://a.test/x", LAX),
        ("a.test/x", "http://a.test//x", LAX),
        ("a.test/x", "http://a.test/%2578", LAX),
        ("a.test/x", "http://a.test/y//..//x", LAX),
        ("a.test/y", "http://a.test/y//..//x", LAX),
        ("a.test/y", "http://a.test/y/../x", NO),
        ("a.test/x", "http://a.test/y/..;/x", LAX),
        ("a.test/x", "http://a.test/x%2f..%2fy", NO),
        ("a.test/x", "http://a.test/x/..%2fy", LAX),
        ("a.test/x%2fy", "http://a.test/x/y", LAX),
        ("a.test/x", "http://a.test/x/../y", NO),
        ("a.test/x", "http://a.test/x%00", LAX),
        ("a.test/100%", "http://a.test/100%", YES),
        ("a.test/\u00e9", "http://a.test/%C3%A9", YES),
    ],
)
def test_url(value: str, target: str, expected: tuple[Truth, Truth]) -> None:
    assert both("url", value, transaction(target=target)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://a.test/x", UNKNOWN),
        ("a.test/?q", UNKNOWN),
        ("=a.test/", UNKNOWN),
        ("https://a.test/", YES),
        ("a.test", YES),
        ("http://a.test/x", NO),
        ("b.test/x", NO),
        ("a.test:444/x", NO),
    ],
)
def test_url_at_connect(value: str, expected: tuple[Truth, Truth]) -> None:
    assert both("url", value, transaction("CONNECT", "a.test:443")) == expected


@pytest.mark.parametrize(
    ("criterion", "value"),
    [("host", "a.test"), ("url", "a.test"), ("list", "x"), ("user", "a"), ("client", "::1")],
)
def test_what_no_point_has_told_yet_is_unknown(criterion: str, value: str) -> None:
    assert both(criterion, value, early()) == UNKNOWN


def test_before_the_request_its_port_and_scheme_are_unknown_but_it_is_a_connect() -> None:
    assert both("port", "443", early("a.test")) == UNKNOWN
    assert both("scheme", "https", early("a.test")) == UNKNOWN
    assert both("url", "a.test", early("a.test")) == UNKNOWN
    assert both("url", "b.test", early("a.test")) == NO
    assert both("method", "CONNECT", early("a.test")) == YES


@pytest.mark.parametrize(
    ("method", "value", "expected"),
    [
        ("GET", "get", YES),
        ("get", "GET", LAX),
        ("NONE", "CONNECT", YES),
        ("connect", "CONNECT", LAX),
        ("DELETES", "DELETE", NO),
    ],
)
def test_method(method: str, value: str, expected: tuple[Truth, Truth]) -> None:
    target = "a.test:443" if method.upper() in {"NONE", "CONNECT"} else "http://a.test/"
    assert both("method", value, transaction(method, target)) == expected


@pytest.mark.parametrize(
    ("target", "header", "expected"),
    [
        ("http://a.test/", "X-HTTP-Method-Override: delete", LAX),
        ("http://a.test/", "x-method-override: DELETE", LAX),
        ("http://a.test/", "X-HTTP-Method: DELETE", LAX),
        ("http://a.test/", "X-HTTP-Method-Override: PATCH", NO),
        ("http://a.test/", "X-Other: DELETE", NO),
        ("http://a.test/", "Access-Control-Request-Method: DELETE", NO),
        ("http://a.test/?a=b&_method=delete", "A: b", LAX),
        ("http://a.test/?x_method=delete", "A: b", NO),
    ],
)
def test_a_method_that_overrides_counts_to_block(
    tmp_path: Path, target: str, header: str, expected: object
) -> None:
    tx = transaction("POST", target, header)
    assert both("method", "DELETE", tx) == expected
    rules = policy(tmp_path, "access:\n- {name: out, when: {method: DELETE}, action: block}\n")
    assert outcome(rules, tx) == ("allow" if expected == NO else "block: out")


@pytest.mark.parametrize(
    ("target", "value", "expected"),
    [
        ("http://a.test/", "80", YES),
        ("https://a.test/", "80", NO),
        ("https://a.test/", "400-500", YES),
        ("http://a.test:8080/", "1-8079", NO),
    ],
)
def test_port(target: str, value: str, expected: tuple[Truth, Truth]) -> None:
    assert both("port", value, transaction(target=target)) == expected


def test_scheme() -> None:
    assert both("scheme", "HTTPS", transaction(target="https://a.test/")) == YES
    assert both("scheme", "https", transaction("CONNECT", "a.test:443")) == YES
    assert both("scheme", "https", transaction(target="http://a.test/")) == NO


@pytest.mark.parametrize(
    ("client", "value", "expected"),
    [
        ("192.0.2.7", "192.0.2.0/24", YES),
        ("::ffff:192.0.2.7", "192.0.2.7", YES),
        ("192.0.3.1", "192.0.2.0-192.0.2.255", NO),
        (None, "0.0.0.0/0", NO),
        ("rubbish", "0.0.0.0/0", NO),
    ],
)
def test_client(client: str | None, value: str, expected: tuple[Truth, Truth]) -> None:
    assert both("client", value, transaction(client=client)) == expected


@pytest.mark.parametrize(
    ("user", "value", "expected"),
    [
        ("alice", "Alice", YES),
        ("ALICE", "alice", YES),
        ("alice@CORP.TEST", "alice", LAX),
        ("CORP\\alice", "alice", LAX),
        ("malice", "alice", NO),
        ("alice", "al*", YES),
        ("alice", "*ce", YES),
        ("alice", "a*i*e", YES),
        ("ae", "a*i*e", NO),
        ("alice@corp", "*@CORP", YES),
        ("alice", "*", YES),
        ("a", "a*a", NO),
        ("", "*", NO),
        (None, "*", NO),
    ],
)
def test_user(user: str | None, value: str, expected: tuple[Truth, Truth]) -> None:
    assert both("user", value, transaction(user=user)) == expected


def test_a_pattern_of_many_stars_takes_linear_time() -> None:
    matcher = compile_criterion("user", ("*a" * 200 + "b",), [])
    assert truths(matcher, transaction(user="a" * 5000)) == NO


def test_list() -> None:
    assert both("list", "x", transaction(target="http://w.a.test/")) == YES
    assert both("list", "x", transaction(target="http://b.test/")) == NO
    assert both("list", "x", transaction("GET", "http://b.test/", "Host: a.test")) == LAX


def test_matchers_are_frozen_values() -> None:
    one, two = (compile_criterion("user", ("a*",), []) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert isinstance(one, UserIs)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.wanted = ()  # type: ignore[misc]


def test_parents_begin_with_the_name() -> None:
    assert list(parents("a.b.c")) == ["a.b.c", "b.c", "c"]
