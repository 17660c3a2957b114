"""What is remembered and who is asked, over a directory and a clock that the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.directory.lookups import MAX_ASKING, Failed, Groups, Lookups, Pending, Terms

if TYPE_CHECKING:
    from collections.abc import Callable

OUT = Failed("it is down", outage=True)


class Directory:
    """Answers when the test says so."""

    def __init__(self, **terms: float) -> None:
        self.now = 1000.0
        self.questions: list[tuple[str, Callable[[Groups | Failed], None]]] = []
        self.reports: list[str] = []
        values = {"ttl": 100.0, "negative_ttl": 10.0, "stale": 1000.0, "users": 100} | terms
        self.lookups = Lookups(
            self._ask,
            Terms(values["ttl"], values["negative_ttl"], values["stale"], int(values["users"])),
            lambda: self.now,
            lambda what, _: self.reports.append(what),
        )

    def _ask(self, login: str, bare: str, done: Callable[[Groups | Failed], None]) -> None:
        assert login.startswith(bare)
        self.questions.append((login, done))

    def ask(self, user: str) -> list[Groups | None]:
        """Ask; the list fills when the answer comes."""
        found = self.lookups.ask(user, user)
        told: list[Groups | None] = []
        if isinstance(found, Pending):
            found.then(told.append)
        else:
            told.append(found)
        return told

    def answer(self, answer: Groups | Failed) -> None:
        """Answer the oldest question."""
        self.questions.pop(0)[1](answer)


@pytest.fixture
def directory() -> Directory:
    return Directory()


def test_an_answer_serves_for_its_time_and_no_longer(directory: Directory) -> None:
    told = directory.ask("alice")
    assert told == []
    directory.answer(("staff",))
    assert told == [("staff",)]
    directory.now += 99
    assert directory.ask("ALICE") == [("staff",)]
    directory.now += 2
    assert directory.ask("alice") == []


def test_no_groups_are_remembered_for_a_shorter_time(directory: Directory) -> None:
    directory.ask("alice")
    directory.answer(())
    directory.now += 9
    assert directory.ask("alice") == [()]
    directory.now += 2
    assert directory.ask("alice") == []


def test_a_user_is_asked_about_once_at_a_time(directory: Directory) -> None:
    first, second, other = directory.ask("alice"), directory.ask("Alice"), directory.ask("bob")
    assert [login for login, _ in directory.questions] == ["alice", "bob"]
    directory.answer(("staff",))
    assert (first, second, other) == ([("staff",)], [("staff",)], [])


def test_so_many_are_asked_about_and_of_the_others_nothing_is_known(directory: Directory) -> None:
    for number in range(MAX_ASKING):
        assert directory.ask(f"user{number}") == []
    assert directory.ask("alice") == [None]
    directory.answer(())
    assert directory.ask("alice") == []


def test_so_many_are_remembered_and_the_oldest_go() -> None:
    directory = Directory(users=2)
    for user in ("a", "b", "c"):
        directory.ask(user)
        directory.answer((user,))
    assert directory.ask("b") == [("b",)]
    assert directory.ask("c") == [("c",)]
    assert directory.ask("a") == []


def test_in_an_outage_old_answers_serve_and_one_question_at_a_time_is_tried(directory: Directory) -> None:
    directory.ask("alice")
    directory.answer(("staff",))
    directory.now += 500
    told = directory.ask("alice")
    directory.answer(OUT)
    assert told == [("staff",)]
    assert directory.ask("alice") == [("staff",)]
    assert directory.ask("bob") == [None]
    assert directory.questions == []
    directory.now += 5
    assert directory.ask("bob") == []  # this one tries
    assert directory.ask("alice") == [("staff",)]
    assert directory.ask("carol") == [None]
    directory.answer(("kids",))
    assert directory.ask("carol") == []
    assert directory.reports == ["does not answer: it is down", "answers again"]


def test_old_answers_do_not_serve_for_ever(directory: Directory) -> None:
    directory.ask("alice")
    directory.answer(("staff",))
    directory.now += 1101
    told = directory.ask("alice")
    directory.answer(OUT)
    assert told == [None]


def test_an_outage_is_reported_once_and_tried_ever_more_rarely(directory: Directory) -> None:
    tries = []
    for second in range(300):
        if not directory.ask("alice"):
            tries.append(second)
            directory.answer(OUT)
        directory.now += 1
    assert tries == [0, 5, 15, 35, 75, 135, 195, 255]
    assert directory.reports == ["does not answer: it is down"]


def test_questions_that_fail_together_are_one_failure(directory: Directory) -> None:
    for user in ("a", "b", "c"):
        directory.ask(user)
    for _ in range(3):
        directory.answer(OUT)
    directory.now += 5
    assert directory.ask("a") == []
    assert len(directory.reports) == 1


def test_one_users_failure_is_no_outage(directory: Directory) -> None:
    told = directory.ask("alice")
    directory.answer(Failed("he is two", outage=False))
    assert told == [None]
    assert directory.ask("alice") == [None]
    assert directory.ask("bob") == []
    directory.now += 11
    assert directory.ask("alice") == []
    assert directory.reports == ["he is two"]


def test_an_answer_at_once_is_no_wait(directory: Directory) -> None:
    directory.lookups._query = lambda _login, _bare, done: done(("staff",))
    assert directory.ask("alice") == [("staff",)]


def test_who_asks_after_the_answer_is_told_too() -> None:
    pending = Pending()
    pending.settle(("a",))
    told: list[Groups | None] = []
    pending.then(told.append)
    assert told == [("a",)]
