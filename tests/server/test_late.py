"""What is remembered of downloads that were cut: bounded, for a while, told once. See test_transfer.py too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.adaptation import UseAdapted
from icapd.http import RequestHead
from icapd.policy import Block, Decision
from icapd.server import late as module
from icapd.server.late import LateBlocks
from icapd.transaction import Client, Point, Transaction

if TYPE_CHECKING:
    from icapd.adaptation import Outcome
    from icapd.server.site import Site

OPENS = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
BLOCKED = Decision(Block(), "default_protection")


def transaction(url: str, *lines: str, client: str = "192.0.2.1", method: str = "GET") -> Transaction:
    head = "".join(f"{line}\r\n" for line in (f"{method} {url} HTTP/1.1", "Host: a.example", *lines, ""))
    return Transaction(Point.REQMOD, Client(client), RequestHead(head.encode("ascii")))


class Clock:
    """Time as the test sets it."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def late(clock: Clock) -> LateBlocks:
    assert clock.now == 0
    made = LateBlocks()
    assert not made
    made.note(transaction("http://a.example/x"), "http://a.example/x", BLOCKED, "id-1")
    assert made
    return made


def asked(
    late: LateBlocks, site: Site, tx: Transaction, url: str = "http://a.example/next"
) -> Outcome | None:
    return late.explain(tx, site.generation, "id-2", url)


def test_it_is_told_once_to_who_opens_a_page(late: LateBlocks, site: Site) -> None:
    tx = transaction("http://a.example/next", *OPENS)
    outcome = asked(late, site, tx)
    assert outcome is not None
    assert (outcome.decision.stage, type(outcome.answer)) == ("notice", UseAdapted)
    assert asked(late, site, tx) is None


@pytest.mark.parametrize(
    "tx",
    [
        transaction("http://a.example/next"),
        transaction("http://a.example/next", OPENS[0], "Sec-Fetch-Dest: iframe"),
        transaction("http://a.example/next", *OPENS, client="192.0.2.2"),
        transaction("http://a.example/next", *OPENS, method="POST"),
        transaction("a.example:443", method="CONNECT"),
    ],
)
def test_it_is_told_to_nobody_else(late: LateBlocks, site: Site, tx: Transaction) -> None:
    assert asked(late, site, tx) is None


def test_the_link_that_leads_on_is_escaped_and_a_url(late: LateBlocks, site: Site) -> None:
    outcome = asked(late, site, transaction("http://a.example/n", *OPENS), 'http://a/"><script>&')
    assert outcome is not None
    assert isinstance(outcome.answer, UseAdapted)
    page = outcome.answer.body or b""
    assert b'href="http://a/&quot;&gt;&lt;script&gt;&amp;"' in page
    assert b"<script" not in page


def test_no_link_leads_to_what_is_no_page(late: LateBlocks, site: Site) -> None:
    outcome = asked(late, site, transaction("http://a.example/n", *OPENS), "javascript:alert(1)")
    assert outcome is not None
    assert isinstance(outcome.answer, UseAdapted)
    assert b"javascript" not in (outcome.answer.body or b"")


def test_it_is_forgotten(late: LateBlocks, site: Site, clock: Clock) -> None:
    clock.now = 121
    late.forget()
    assert asked(late, site, transaction("http://a.example/next", *OPENS)) is None
    same = transaction("http://a.example/x")
    again = asked(late, site, same, "http://a.example/x")
    assert again is not None
    assert again.decision is BLOCKED
    clock.now = 601
    assert asked(late, site, same, "http://a.example/x") is None
    late.forget()
    assert not late


def test_it_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    assert clock.now == 0
    monkeypatch.setattr(module, "MAX_CLIENTS", 3)
    late = LateBlocks()
    for number in range(5):
        tx = transaction("http://a.example/x", client=f"192.0.2.{number}")
        for path in range(20):
            late.note(tx, f"http://a.example/{path}", BLOCKED, "id")
    known = [
        [
            path
            for path in range(20)
            if asked(
                late,
                site,
                transaction(f"http://a.example/{path}", client=f"192.0.2.{number}"),
                f"http://a.example/{path}",
            )
        ]
        for number in range(5)
    ]
    assert known == [[], [], *[list(range(12, 20))] * 3]
