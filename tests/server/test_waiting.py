"""Requests that wait for their user's groups: nothing overtakes them, and each gets one answer."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.directory import Directory
from icapd.directory.lookups import Failed, Groups, Lookups, Terms
from icapd.policy import load_policy
from tests.server.asking import answers, chunks, options, reqmod, respmod
from tests.server.conftest import connected, ticks
from tests.server.doubles import LOST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from icapd.server.site import Site

POLICY = {"access": [{"name": "kids", "when": {"group": ["kids"]}, "action": "block"}]}
ALICE, BOB = ("X-Client-Username: alice", "Allow: 204"), ("X-Client-Username: bob", "Allow: 204")
OUT = Failed("it is down", outage=True)


class Asked:
    """A directory that answers when the test says so."""

    def __init__(self, site: Site, directory: Path, *, denies: bool = False) -> None:
        self.questions: dict[str, Callable[[Groups | Failed], None]] = {}
        (directory / "groups.yaml").write_text(json.dumps(POLICY))
        policy = load_policy(directory / "groups.yaml")
        lookups = Lookups(self._ask, Terms(100, 100, 0, 100), lambda: 0.0, lambda _what, _good: None)
        directory_ = Directory(lookups=lookups, asked=True, denies=denies)
        site.replace(dataclasses.replace(site.generation, policy=policy, directory=directory_))

    def _ask(self, login: str, bare: str, done: Callable[[Groups | Failed], None]) -> None:
        assert (login, bare) == (bare, login)
        assert login not in self.questions
        self.questions[login] = done

    def answer(self, login: str, answer: Groups | Failed) -> None:
        self.questions.pop(login)(answer)


@pytest.fixture
def asked(site: Site, tmp_path: Path) -> Asked:
    return Asked(site, tmp_path)


def records(site: Site, directory: Path) -> list[str]:
    site.decisions.flush()
    return (directory / "decisions.log").read_text().splitlines()


@pytest.mark.parametrize(("groups", "status"), [((), 204), (("kids",), 200), (("staff",), 204)])
def test_the_answer_comes_with_the_groups(
    site: Site, asked: Asked, tmp_path: Path, groups: Groups, status: int
) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(lines=ALICE))
    assert link.sent == b""
    assert records(site, tmp_path) == []
    asked.answer("alice", groups)
    (answer,) = answers(link.sent, "REQMOD")
    assert answer.status == status
    assert len(records(site, tmp_path)) == 1
    protocol.dataReceived(reqmod(lines=ALICE))  # now they are known
    assert [each.status for each in answers(link.sent, "REQMOD", "REQMOD")] == [status, status]


def test_what_is_sent_ahead_waits_in_its_turn(site: Site, asked: Asked) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(lines=ALICE) + options() + reqmod(lines=BOB) + reqmod())
    assert link.sent == b""
    assert set(asked.questions) == {"alice"}
    asked.answer("alice", ("kids",))
    assert set(asked.questions) == {"bob"}
    asked.answer("bob", ())
    found = answers(link.sent, "REQMOD", "OPTIONS", "REQMOD", "REQMOD")
    assert [answer.status for answer in found] == [200, 200, 204, 204]


def test_two_connections_of_one_user_are_answered_by_one_question(site: Site, asked: Asked) -> None:
    links = []
    for _ in range(3):
        protocol, link = connected(site)
        protocol.dataReceived(reqmod(lines=ALICE))
        links.append(link)
    asked.answer("alice", ("kids",))
    assert [answers(link.sent, "REQMOD")[0].status for link in links] == [200, 200, 200]


BODIES = (
    reqmod("http://a.example/", "POST", lines=ALICE, body=chunks(b"form", b"data")),
    respmod(lines=("X-Client-Username: alice",), body=chunks(b"x" * 100, b"y" * 200)),
    respmod(lines=("X-Client-Username: alice", "Preview: 4"), body=chunks(b"abcd")),
    reqmod(lines=("X-Client-Username: alice",)),
)


@given(st.data())
def test_no_cut_of_the_input_changes_the_answers(
    shared_site: Site, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    asked = Asked(shared_site, tmp_path_factory.mktemp("policy"))
    stream = b"".join(BODIES)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    when = data.draw(st.integers(0, len(cuts)))
    groups: Groups = data.draw(st.sampled_from([(), ("kids",)]))
    protocol, link = connected(shared_site)
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(stream)], strict=True)):
        if end > start:
            protocol.dataReceived(stream[start:end])
        if number >= when and asked.questions:
            assert link.sent == b""
            asked.answer("alice", groups)
    if asked.questions:
        asked.answer("alice", groups)
    found = answers(link.sent, "REQMOD", "RESPMOD", "RESPMOD", "REQMOD")
    assert [answer.status for answer in found] == ([200] * 4 if groups else [204, 200, 204, 200])
    if not groups:
        assert found[1].body == b"x" * 100 + b"y" * 200
    protocol.connectionLost(LOST)


def test_while_it_waits_only_so_much_is_held(site: Site, asked: Asked) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod("http://a.example/", "POST", lines=ALICE, body=chunks(b"x" * 10))[:-20])
    for _ in range(40):
        if link.reading:
            protocol.dataReceived(b"a" * 10_000)
    assert not link.reading
    asked.answer("alice", ())
    assert link.sent or link.ended


def test_no_deadline_but_the_directorys_ends_it(site: Site, asked: Asked) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod("http://a.example/", "POST", lines=ALICE, body=chunks(b"form")))
    ticks(site, 30)
    assert link.sent == b""
    assert not link.ended
    asked.answer("alice", ())
    ticks(site, 2)
    assert [answer.status for answer in answers(link.sent, "REQMOD")] == [204]
    ticks(site, 62)
    assert link.half_closed


def test_a_client_that_has_gone_gets_nothing_and_no_record(site: Site, asked: Asked, tmp_path: Path) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(lines=ALICE))
    protocol.connectionLost(LOST)
    asked.answer("alice", ("kids",))
    assert link.sent == b""
    assert records(site, tmp_path) == []
    assert not site.connections


def test_a_client_that_has_said_all_is_still_answered(site: Site, asked: Asked) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(lines=ALICE))
    protocol.readConnectionLost()
    assert not link.ended
    asked.answer("alice", ())
    assert [answer.status for answer in answers(link.sent, "REQMOD")] == [204]
    assert link.ended


def test_a_drain_waits_for_the_answer(site: Site, asked: Asked) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(lines=ALICE))
    site.draining = True
    protocol.close_if_idle()
    assert not link.ended
    asked.answer("alice", ())
    (answer,) = answers(link.sent, "REQMOD")
    assert (answer.status, answer.get("connection")) == (204, "close")
    assert link.half_closed


def test_a_reload_meanwhile_does_not_change_what_has_begun(site: Site, asked: Asked) -> None:
    before = site.generation
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(lines=ALICE))
    other = load_policy(site.config.policy)
    site.replace(dataclasses.replace(before, policy=other, directory=Directory()))
    asked.answer("alice", ("kids",))
    protocol.dataReceived(reqmod(lines=ALICE))
    assert [answer.status for answer in answers(link.sent, "REQMOD", "REQMOD")] == [200, 204]


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
@pytest.mark.parametrize("denies", [False, True])
def test_groups_that_cannot_be_told_decide_against_the_user(
    site: Site, tmp_path: Path, denies: bool, method: str
) -> None:
    """The rule that blocks kids holds; with on_error: deny no rule is asked at all."""
    asked = Asked(site, tmp_path, denies=denies)
    fragment = ("Allow: 204", "X-Icapd-Fragment: 1", "X-Client-Username: YWxpY2U=")
    url = "a.example:443" if method == "CONNECT" else "http://a.example/"
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(url, method, lines=fragment))
    asked.answer("alice", OUT)
    (answer,) = answers(link.sent, "REQMOD")
    assert answer.status == 200
    (record,) = map(json.loads, records(site, tmp_path))
    assert record["stage"] == ("users" if denies else "access")


def test_users_nobody_names_wait_for_nothing(site: Site, asked: Asked) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod())
    assert [answer.status for answer in answers(link.sent, "REQMOD")] == [204]
    assert asked.questions == {}


def test_a_bug_costs_one_transaction(site: Site, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    protocol, link = connected(site)
    protocol.dataReceived(reqmod(lines=ALICE))
    monkeypatch.setattr("icapd.policy.Policy.decide", fail)
    asked.answer("alice", ())
    assert [answer.status for answer in answers(link.sent, "REQMOD")] == [500]
