"""Any record comes back from its row as it was; a plain one without JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.events.rows import COLUMNS, Moments, life_of, moment_of, record_of, row_of
from tests.events.recorded import record

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


def row(given: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(COLUMNS, row_of(given, "d1", Moments()), strict=True))


def test_a_plain_decision_needs_no_json() -> None:
    assert row(record(3)) == {
        "time": 1795514403.0,
        "source": "k3v7q2xa",
        "seq": 3,
        "id": "k3v7q2xa-3",
        "event": None,
        "point": "reqmod",
        "method": "GET",
        "host": "www.games.example",
        "url": "https://www.games.example:8443/3?b=c",
        "client": "10.1.2.3",
        "user": "Anna",
        "action": "allow",
        "stage": "default",
        "rule": None,
        "category": None,
        "threat": None,
        "status": 204,
        "policy": "d1",
        "json": None,
    }


def test_what_the_columns_do_not_say_is_in_json() -> None:
    assert row(record(source="p.yaml:3", rule="r", late=True))["json"] == '{"late":true,"source":"p.yaml:3"}'


def test_an_event_is_kept_whole_with_what_can_be_searched_for() -> None:
    event = {"time": "2026-11-24T10:00:00.000Z", "event": "policy", "source": "k3v7q2xa", "seq": 1}
    found = row(event)
    assert (found["event"], found["source"], found["seq"]) == ("policy", "k3v7q2xa", 1)
    assert record_of(tuple(found.values()), Moments()) == event
    ticket = {"time": "2026-11-24T10:00:00.000Z", "event": "ticket-unused", "id": "a-1", "host": "x.example"}
    assert (row(ticket)["source"], row(ticket)["host"]) == ("a", "x.example")


@pytest.mark.parametrize(
    "odd",
    [
        {"status": 2**70},
        {"seq": "1"},
        {"seq": None},
        {"threat": None},
        {"url": "http://\ud800/"},
        {"user": 5},
        {"user": ["\udfff"]},
        {"time": "2026-11-24T10:00:00Z"},
        {"time": "2026-W48-2T10:00:00.000Z"},
        {"time": "never"},
        {"event": None},
        {"host": "x"},
        {"status": True},
    ],
)
def test_what_is_odd_comes_back_all_the_same(odd: dict[str, Any]) -> None:
    given = record(**odd)
    back = record_of(row_of(given, None, Moments()), Moments())
    assert back == given
    assert {key: type(value) for key, value in back.items()} == {k: type(v) for k, v in given.items()}


@given(
    st.fixed_dictionaries(
        {"time": st.just("2026-11-24T10:00:00.123Z") | JSON},
        optional={
            name: st.none() | st.text(max_size=9) | JSON
            for name in {*record(), "threat", "event", "x"} - {"time"}
        },
    ),
    st.booleans(),
)
def test_every_record_comes_back(given: dict[str, Any], over_a_plain_one: bool) -> None:
    wanted = record() | given if over_a_plain_one else given
    made = row_of(wanted, None, Moments())
    assert record_of(made, Moments()) == wanted
    for value in made:
        assert value is None or isinstance(value, int | float | str)
        assert str(value).encode() is not None


@given(st.datetimes().map(lambda each: f"{each.isoformat(timespec='milliseconds')}Z"))
def test_times_come_back_to_the_millisecond(text: str) -> None:
    moment = Moments().plain(text)
    assert moment is not None
    assert Moments().text(moment) == text
    assert moment_of(text) == pytest.approx(moment)


def test_lives() -> None:
    assert life_of(record(source="p.yaml:1")) == "k3v7q2xa"
    assert life_of({"event": "lost", "source": "abc"}) == "abc"
    assert life_of({"event": "lost"}) is None
