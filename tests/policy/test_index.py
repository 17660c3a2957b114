"""The index leaves out only what cannot match: it and a plain top-down evaluation agree."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.http import ResponseHead
from icapd.policy import Allow, Block, Bypass, Policy, TlsRule, TrafficRule
from icapd.policy import index as indexing
from icapd.policy.addresses import Ranges, read_addresses
from icapd.policy.compile import Catalog, compile_criterion
from icapd.policy.index import AddressMap
from icapd.policy.rules import Workspace
from icapd.transaction import BodyFacts, Client, Point, Transaction
from tests.policy.asking import Lists, policy, transaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from icapd.lists import ListSet
    from icapd.policy.match import Matcher

VALUES = {
    "host": [
        "a.test",
        "=a.test",
        "w.a.test",
        "b.test",
        "test",
        "10.0.0.0/8",
        "10.0.0.1",
        "::1",
        "2002:a00:1::/48",
    ],
    "url": [
        "a.test",
        "*.a.test/x",
        "https://a.test/x",
        "=http://a.test/",
        "a.test:81/",
        "10.0.0.1/x",
        "http://b.test/?q",
    ],
    "method": ["GET", "CONNECT", "POST"],
    "port": ["80", "443", "1-65535", "80-90"],
    "scheme": ["http", "https"],
    "client": ["10.0.0.0/8", "10.1.0.0/16", "10.0.0.1", "10.0.0.5-10.2.0.0", "::/0", "2001:db8::1"],
    "user": ["alice", "al*", "*@corp", "bob"],
    "list": ["x", "y"],
    "path": ["/x", "=/x", "/x/y", "/", "/y?q"],
    "regex": ["a[.]test/x", "^https", "X/[^y]", "test"],
    "group": ["staff", "st*", "pupils"],
    "user_agent": ["curl*", "*"],
    "proxy_port": ["3128", "3129"],
    "direction": ["request", "response"],
    "mime": ["text/*", "video/mp4"],
    "file_type": ["exe"],
    "file_name": ["*.exe", "x"],
    "size": [">10", "0"],
    "content_length": [">10"],
    "sha256": ["a" * 64],
    "header": ["X-A: one"],
    "upgrade": ["websocket"],
    "schedule": ["mon 00:00-12:00 UTC", "UTC"],
    "workspace": ["labs", "office"],
    "homograph": ["a.test", "c.example"],
}
CATALOG = Catalog({"x": "x", "y": "y"}, frozenset(), ("labs", "office"))
HOSTS = [
    "a.test",
    "w.a.test",
    "b.test",
    "c.example",
    "10.0.0.1",
    "11.0.0.1",
    "[::1]",
    "[2002:a00:1::]",
    "[::ffff:10.0.0.9]",
    "\u0430.test",
]


LISTS = Lists(
    {"a.test": "x", "b.test": "y", "10.0.0.1": "y"},
    {"c.example/x": "x", "c.example/X": "y", "a.test/x": "y"},
    x="10.9.9.9",
    y="ab" * 16,
)


@st.composite
def matchers(draw: st.DrawFn, smallest: int = 0) -> tuple[Matcher, ...]:
    chosen = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=smallest, max_size=3, unique=True))
    return tuple(
        compile_criterion(
            criterion,
            tuple(draw(st.lists(st.sampled_from(VALUES[criterion]), min_size=1, max_size=3, unique=True))),
            CATALOG,
        )
        for criterion in chosen
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    def conditions() -> tuple[tuple[Matcher, ...], tuple[tuple[Matcher, ...], ...]]:
        return draw(matchers()), tuple(draw(st.lists(matchers(1), max_size=2)))

    def shadow() -> bool:
        return draw(st.integers(0, 4)) == 0

    bypass = [
        TrafficRule(f"b{n}", "bypass", "", *conditions(), True, Bypass(), shadow=shadow())
        for n in range(draw(st.integers(0, 3)))
    ]
    access = [
        TrafficRule(
            f"a{n}", "access", "", *conditions(), exempts, Allow() if exempts else Block(), shadow=shadow()
        )
        for n, exempts in enumerate(draw(st.lists(st.booleans(), max_size=5)))
    ]
    tls = [
        TlsRule(f"t{n}", "tls", "", *conditions(), action == "splice", action)
        for n, action in enumerate(
            draw(st.lists(st.sampled_from(["bump", "splice", "terminate"]), max_size=4))
        )
    ]
    lists: ListSet = LISTS  # type: ignore[assignment]
    labs = compile_criterion("client", ("10.0.0.0/16",), CATALOG)
    office = compile_criterion("user", ("bob", "al*"), CATALOG)
    workspaces = (
        Workspace("labs", "workspaces", "", (labs,), (), False),
        Workspace("office", "workspaces", "", (office,), (), False),
    )
    return Policy(
        bypass=tuple(bypass),
        access=tuple(access),
        tls=tuple(tls),
        workspaces=workspaces if draw(st.booleans()) else (),
        lists=lists,
    )


FIELDS = [
    "Content-Type: text/plain, video/mp4",
    "Content-Type: text/html",
    "Content-Length: 11",
    "Content-Disposition: x; filename=a.exe",
    "Upgrade: h2c, websocket",
    "User-Agent: curl/8",
    "X-A: one",
    "x-a: two",
]
BODIES = [
    None,
    BodyFacts(),
    BodyFacts(11, ("exe",), ("ab" * 16,), ("a" * 64, "c" * 64)),
    BodyFacts(0, (), ("00" * 16,), ("b" * 64,)),
]


@st.composite
def transactions(draw: st.DrawFn) -> Transaction:
    host = draw(st.sampled_from(HOSTS))
    name = st.sampled_from(["a.test", "b.test", "10.0.0.1", "c.example"])
    client = Client(
        draw(st.sampled_from([None, "10.0.0.1", "10.1.2.3", "192.0.2.1", "2001:db8::1", "-"])),
        draw(st.sampled_from([None, "", "alice", "ALICE@corp", "bob", "carol"])),
        draw(st.sampled_from([None, (), ("staff",), ("CORP\\staff", "other"), ("pupils",)])),
    )
    sni, connect_host = draw(st.none() | name), draw(st.none() | name)
    point = draw(st.sampled_from(Point))
    if draw(st.integers(0, 5)) == 0:
        return Transaction(point, client, sni=sni, connect_host=connect_host)
    method = draw(st.sampled_from(["GET", "POST", "CONNECT", "NONE", "connect", "get"]))
    if method in {"GET", "POST", "get"}:
        path = draw(st.sampled_from(["/", "/x", "/X/y", "/y/..;/x", "/?q", "/y?q", "/x/a.exe", "/%252578"]))
        target = (
            f"{draw(st.sampled_from(['http', 'https']))}://{host}{draw(st.sampled_from(['', ':81']))}{path}"
        )
    else:
        target = f"{host}:{draw(st.sampled_from([80, 443]))}"
    headers = draw(st.lists(name.map("Host: {}".format), max_size=2))
    headers += draw(st.lists(st.sampled_from(FIELDS), max_size=2))
    tx = transaction(method, target, *headers, sni=sni, connect_host=connect_host, point=point)
    tx.client = client
    tx.now = draw(st.sampled_from([0.0, 345_600.0, 345_600.0 + 50_000]))
    tx.addresses = draw(st.sampled_from([(), ("10.0.0.1",), ("10.9.9.9", "::1"), ("rubbish",)]))
    tx.proxy_port = draw(st.sampled_from([None, 3128, 3129]))
    if point is Point.RESPMOD and draw(st.integers(0, 5)):
        more = draw(st.lists(st.sampled_from(FIELDS), max_size=3, unique_by=lambda field: field[:9]))
        status = draw(st.sampled_from([101, 200, 304]))
        tx.response = ResponseHead("\r\n".join((f"HTTP/1.1 {status} X", *more, "", "")).encode())
        tx.body, tx.body_follows = draw(st.sampled_from(BODIES)), draw(st.booleans())
    return tx


@given(policies(), st.lists(transactions(), min_size=1, max_size=6))
def test_the_index_and_a_plain_evaluation_agree(rules: Policy, asked: list[Transaction]) -> None:
    for tx in (*asked, *asked):  # twice: what is remembered must not differ
        found, plain = rules.decide(tx), rules.explain(tx)
        assert (found.action, found.stage, found.rule) == (plain.action, plain.stage, plain.rule)
        assert (found.category, found.undecided) == (plain.category, plain.undecided)
        assert (found.shadow, found.workspace) == (plain.shadow, plain.workspace)
        tls, plain_tls = rules.decide_tls(tx), rules.explain_tls(tx)
        assert (tls.action, tls.rule, tls.undecided) == (
            plain_tls.action,
            plain_tls.rule,
            plain_tls.undecided,
        )


def test_rules_that_cannot_match_are_not_asked(tmp_path: Path) -> None:
    many = "".join(f"- {{name: r{n}, when: {{host: [h{n}.test]}}, action: block}}\n" for n in range(500))
    rules = policy(tmp_path, "access:\n" + many)
    numbers = rules._index.candidates(transaction(target="http://w.h7.test/"), ("w.h7.test",))
    assert numbers == (7,)
    assert rules._index.candidates(transaction(), ("good.test",)) == ()


@pytest.mark.parametrize(
    "criteria",
    [
        "host: [h{n}.test]",
        "url: [h{n}.test/x]",
        "user: [u{n}]",
        "client: [10.{a}.{b}.0/24]",
        "host: [10.{a}.{b}.1]",
        "path: [/p{n}/x]",
        "group: [g{n}]",
        "homograph: [look{n}.test]",
        "regex: ['^http://h{n}[.]test/']",
        "host: [h{n}.test], mime: [video/x{n}], schedule: 'mon UTC'",
        "direction: response, file_name: ['*.x{n}']",
    ],
)
def test_five_thousand_rules_cost_what_fifty_cost(tmp_path: Path, criteria: str) -> None:
    def cost(count: int) -> int:
        lines = (criteria.format(n=n, a=n // 250, b=n % 250) for n in range(count))
        text = "access:\n" + "".join(
            f"- {{name: r{n}, when: {{{line}}}, action: block}}\n" for n, line in enumerate(lines)
        )
        rules = policy(tmp_path, text)
        asked = [
            transaction(target=f"http://x{n}.test/", client=f"10.200.{n}.1", user=f"x{n}") for n in range(50)
        ]
        for tx in asked:
            tx.client.groups = ("none",)
        for tx in asked:
            rules.decide(tx)
        return calls(lambda: [rules.decide(tx) for tx in asked])

    few, many = cost(50), cost(5000)
    assert many < 2 * few


def calls(work: Callable[[], object]) -> int:
    """Count the calls that `work` makes: what it costs, whatever else the machine does meanwhile."""
    count = 0

    def seen(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_memory_of_hosts_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "MAX_REMEMBERED", 10)
    rules = policy(tmp_path, "access:\n- {name: a, when: {host: [a.test], user: [x]}, action: block}\n")
    for n in range(100):
        rules.decide(transaction(target=f"http://h{n}.test/", user=f"u{n}", client=f"10.0.0.{n}"))
    assert len(rules._index._hosts_seen) <= 10


def test_the_map_of_addresses_agrees_with_ranges() -> None:
    texts = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "10.1.0.0-10.3.0.0", "0.0.0.0/0", "::/0", "::1"]
    ranges = [Ranges.of([read_addresses(text)]) for text in texts]
    found = AddressMap(enumerate(ranges))
    for version, number in [
        (4, 0),
        (4, 0x0A010203),
        (4, 0x0A010204),
        (4, 0x0B000000),
        (4, 2**32 - 1),
        (6, 1),
        (6, 2),
    ]:
        expected = tuple(n for n, each in enumerate(ranges) if each.holds((version, number)))
        assert found.find((version, number)) == expected
    assert AddressMap([]).find((4, 1)) == ()
