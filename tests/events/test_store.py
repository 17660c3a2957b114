"""The store finds what a log file holds, each record once, however it was ended."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.events.follow import Position
from icapd.events.queries import numbers_of, where
from icapd.events.search import Search
from icapd.events.store import BrokenStoreError, Store, StoreError, open_store
from tests.events.recorded import BEGIN, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT = Position(1, 10, "h", 5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "events.db", readonly=False)
    yield made
    made.close()


def test_records_come_back_in_their_order_with_their_position(store: Store, tmp_path: Path) -> None:
    records = [record(n) for n in (3, 1, 2)]
    assert store.add(records, AT) == 3
    assert list(store.search()) == records
    assert list(store.search(limit=2)) == records[1:]
    assert list(store.search(after=1)) == records[1:]
    reader = open_store(tmp_path / "events.db")
    assert (list(reader.search()), reader.position, reader.last()) == (records, AT, 3)
    reader.close()


def test_a_number_is_taken_once(store: Store) -> None:
    store.add([record(1), record(2)], AT)
    assert store.add([record(2), record(3)], AT) == 1
    assert [each["seq"] for each in store.search()] == [1, 2, 3]
    assert store.add([record(9, seq="x"), record(9, seq="x")], AT) == 2


def test_of_two_writers_one_is_told(store: Store, tmp_path: Path) -> None:
    other = open_store(tmp_path / "events.db", readonly=False)
    store.add([record(1)], AT)
    with pytest.raises(StoreError, match="another process writes to it"):
        other.add([record(1, seq=None)], AT)
    other.close()
    assert store.last() == 1


def test_what_fails_leaves_nothing(store: Store) -> None:
    def fail() -> None:
        with store.transaction():
            store.set_state("x", 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (store.state("x"), store.position) == (None, None)


def test_the_policy_in_force_is_that_of_the_process(store: Store, tmp_path: Path) -> None:
    def serves(digest: str, source: str = "k3v7q2xa") -> dict[str, Any]:
        return {"time": "2026-11-24T10:00:00.000Z", "event": "policy", "source": source, "digest": digest}

    store.add([record(1), serves("a"), record(2), serves("b", "other")], AT)
    store.add([serves("b"), record(3), serves("a"), record(4)], AT)
    again = open_store(tmp_path / "events.db", readonly=False)
    again.add([record(5), record(6, id="other-6")], AT)
    again.close()
    found = {each.record["seq"]: each.policy for each in store.found() if "seq" in each.record}
    assert found == {1: None, 2: "a", 3: "b", 4: "a", 5: "a", 6: "b"}


def test_texts_of_policies(store: Store) -> None:
    store.add_policy("d1", 5.0, {"policy.yaml": "rules"})
    store.add_policy("d1", 6.0, {})
    assert (store.policy_text("d1"), store.policy_text("d2")) == ({"policy.yaml": "rules"}, None)


def test_a_reference_finds_the_decision_and_its_events(store: Store) -> None:
    late = {"time": "2026-11-24T10:00:09.000Z", "event": "ticket-unused", "id": "k3v7q2xa-1", "host": "h"}
    store.add([record(1), record(2), late], AT)
    assert [each.record for each in store.by_id("k3v7q2xa-1")] == [record(1), late]
    assert store.by_id("nobody-1") == []


_LINES = [
    record(1, action="block", rule="No Games", source="p:1", threat="Win.Test", user="Änna"),
    record(2, client=None, user=None),
    record(3, client="fe80::1%eth0", url="http://Games.Example"),
    record(4, client="10.200.0.1", url="mygames.example:443", method="CONNECT", user="straße"),
    record(5, action="refuse", rule="100%_sure", source="p:2", url="http://a_b.example/"),
    {"time": "2026-11-24T10:00:06.000Z", "event": "ticket-unused", "id": "x-1", "host": "games.example"},
    record(7, user="ANNA", url="http://axb.example/"),
]
_TEXT = st.sampled_from(
    ["games", "No", "%", "_", "anna", "ÄNNA", "STRASSE", "block", "allow", "ticket-unused", "games.example",
     "example", "a_b.example", "xample", "win", "x", ""]
)  # fmt: skip
_MAYBE = st.none() | _TEXT


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = open_store(tmp_path_factory.mktemp("store") / "events.db", readonly=False)
    made.add(_LINES, AT)
    yield made
    made.close()


_SEARCHES = st.builds(
    Search,
    since=st.none() | st.integers(0, 9).map(lambda n: BEGIN + timedelta(seconds=n)),
    until=st.none() | st.integers(0, 9).map(lambda n: BEGIN + timedelta(seconds=n)),
    client=st.sampled_from([None, "10.0.0.0/8", "10.1.2.7", "fe80::/10", "::/0"]),
    user=_MAYBE,
    host=_MAYBE,
    rule=_MAYBE,
    action=_MAYBE,
    threat=_MAYBE,
    id=st.sampled_from([None, None, "x-1", "k3v7q2xa-4"]),
)


@given(_SEARCHES, st.none() | st.integers(0, 4))
def test_a_search_finds_what_it_finds_in_a_log(filled: Store, search: Search, limit: int | None) -> None:
    wanted = [each for each in _LINES if search.finds(each)]
    assert list(filled.search(search)) == wanted
    assert list(filled.search(search, limit=limit)) == (wanted[-limit:] if limit else wanted[:limit])


@given(st.sampled_from(["user", "client", "host", "rule", "action", "threat"]), _TEXT)
def test_each_term_alone_finds_the_same(filled: Store, name: str, text: str) -> None:
    search = Search(**{name: "10.1.0.0/16" if name == "client" else text})  # type: ignore[arg-type]
    assert list(filled.search(search)) == [each for each in _LINES if search.finds(each)]


def test_counts(store: Store) -> None:
    records = [
        record(n, user="u1" if n % 3 else "u2", action="block" if n > 7 else "allow") for n in range(9)
    ]
    store.add([*records, record(9, user="u1", again="k3v7q2xa-1")], AT)
    assert store.counts() == [(9,)]
    assert store.counts(["user"]) == [("u1", 6), ("u2", 3)]
    assert store.counts(["user"], limit=1) == [("u1", 6)]
    assert store.counts(["action", "user"], Search(action="block")) == [("block", "u1", 1)]
    assert store.counts(["hour"]) == [(BEGIN.timestamp(), 9)]
    with pytest.raises(ValueError, match="cannot count by json: there are "):
        store.counts(["json"])


@pytest.mark.parametrize(
    "search",
    [
        Search(since=BEGIN, until=BEGIN + timedelta(seconds=1)),
        Search(id="k3v7q2xa-1"),
        Search(client="10.1.2.7"),
        Search(user="anna"),
        Search(host="x.example"),
        Search(action="block"),
        Search(rule="games"),
        Search(threat="win"),
        Search(action="ticket-unused"),
    ],
)
def test_a_search_looks_into_an_index(filled: Store, search: Search) -> None:
    condition, values = where(search, filled.connection)
    query = numbers_of(condition, newest=True)
    plan = filled.connection.execute(f"EXPLAIN QUERY PLAN {query}", (*values, 0))
    steps = [row[3] for row in plan]
    assert any("INDEX records_" in step or "LIST SUBQUERY" in step for step in steps), steps
    assert not any(step.startswith("SCAN records") and "INDEX" not in step for step in steps), steps


def test_what_is_no_store_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with pytest.raises(StoreError, match="there is no event store"):
        open_store(file)
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE theirs(x)")
    connection.close()
    before = file.read_bytes()
    for readonly in (True, False):
        with pytest.raises(StoreError, match="a database, but not an event store"):
            open_store(file, readonly=readonly)
    assert file.read_bytes() == before
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(BrokenStoreError, match="not a database"):
        open_store(file)


def test_a_store_of_a_newer_version_is_left_alone(store: Store, tmp_path: Path) -> None:
    store.connection.execute("PRAGMA user_version = 99")
    for readonly in (True, False):
        with pytest.raises(StoreError, match=r"made by a newer icapd \(version 99 .*upgrade icapd"):
            open_store(tmp_path / "events.db", readonly=readonly)


def test_a_store_without_journal_is_read_where_nothing_may_be_written(store: Store, tmp_path: Path) -> None:
    store.add([record(1)], AT)
    store.close()
    tmp_path.chmod(0o500)
    try:
        reader = open_store(tmp_path / "events.db")
        assert list(reader.search()) == [record(1)]
        reader.close()
    finally:
        tmp_path.chmod(0o700)


def test_times_of_all_zones(store: Store) -> None:
    store.add([record(1)], AT)
    since = datetime(2026, 11, 24, 10, 0, 1, tzinfo=UTC)
    assert list(store.search(Search(since=since, until=since + timedelta(milliseconds=1)))) == [record(1)]
    assert list(store.search(Search(until=since))) == []


@pytest.mark.parametrize("name", ["user", "host", "rule", "action", "threat", "id"])
def test_of_what_is_no_utf8_nothing_is_found(store: Store, name: str) -> None:
    store.add([record(1)], AT)
    assert list(store.search(Search(**{name: "\udcff"}))) == []  # type: ignore[arg-type]
