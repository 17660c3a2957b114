"""The figures of a period: each counted as it should be, by one look through the index on time."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from icapd.events.report import (
    COPY,
    HELD,
    LOST,
    SOURCES,
    Gaps,
    Period,
    Report,
    RuleTally,
    Slot,
    Tally,
    ThreatTally,
    make_report,
)
from icapd.events.store import open_store
from tests.events.recorded import BEGIN, record
from tests.reports import sample

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

START = BEGIN.timestamp()
HOUR = Period(START, START + 3600)
BLOCKED = {
    "action": "block",
    "stage": "access",
    "rule": "no games",
    "source": "policy.yaml:3",
    "category": "Games",
}


def report_of(path: Path, records: Iterable[dict[str, Any]], period: Period = HOUR, **given: Any) -> Report:
    with closing(open_store(path / "events.db", readonly=False)) as store:
        store.add(records, None)
    with closing(open_store(path / "events.db")) as store:
        return make_report(store.connection, period, **given)


def event(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {"time": record(number)["time"], "event": name, **more}


def test_each_record_counts_for_what_it_is(tmp_path: Path) -> None:
    found = report_of(
        tmp_path,
        [
            record(1),
            record(2, method="CONNECT", url="www.games.example:443", user=None),
            record(3, **BLOCKED),
            record(
                4,
                point="respmod",
                scan="scanned",
                action="block",
                stage="protection",
                threat="EICAR",
                late=True,
            ),
            record(5, action="redirect", rule="moved", stage="access", source="policy.yaml:9"),
            record(
                6, point="respmod", scan="cached", unscanned=["clamd"], errors=[{"by": "clamd", "text": "t"}]
            ),
            record(7, action="error", stage="error"),
            record(8, action="refuse", stage="target"),
            record(9, action="bypass", rule="updates", stage="bypass", source="policy.yaml:1"),
            record(10, method="CONNECT", again="k3v7q2xa-2"),
        ],
    )
    totals = found.totals
    assert (totals.requests, totals.tunnels, totals.responses) == (7, 1, 2)
    assert (totals.allowed, totals.bypassed, totals.blocked, totals.refused, totals.redirected) == (
        3,
        1,
        2,
        1,
        1,
    )
    assert (totals.errors, totals.threats, totals.scanned, totals.unscanned, totals.late) == (1, 1, 2, 1, 1)
    assert (totals.again, totals.users, totals.clients, totals.hosts) == (1, 1, 9, 1)
    assert found.slots[0] == Slot(START, 4, 3, 1, 1)
    assert sum(slot.total for slot in found.slots) == 9
    assert found.hosts == (Tally("www.games.example", 7, 3),)
    assert found.categories == (Tally("Games", 1, 1),)
    assert found.threats == (ThreatTally("EICAR", 1, 0, START + 4, "www.games.example"),)
    assert [(one.stage, one.name, one.source, one.action, one.count) for one in found.rules] == [
        ("access", "moved", "policy.yaml:9", "redirect", 1),
        ("access", "no games", "policy.yaml:3", "block", 1),
        ("bypass", "updates", "policy.yaml:1", "bypass", 1),
    ]
    assert found.gaps == Gaps()
    assert not found.is_empty


def test_words_in_values_are_no_keys(tmp_path: Path) -> None:
    """A client can write what a key of the JSON looks like into any value of it."""
    lure = '","again":"k-1","late":true,"unscanned":["x"],"scan":"error'
    found = report_of(tmp_path, [record(1, url=f"http://a.example/{lure}", sni=lure, user=lure)])
    assert (found.totals.requests, found.totals.again, found.totals.late, found.totals.unscanned) == (
        1,
        0,
        0,
        0,
    )


def test_rules_of_tls_and_in_shadow_mode_are_counted(tmp_path: Path) -> None:
    shadow = [{"rule": "no uploads", "source": "p.yaml:7", "action": "block"}]
    found = report_of(
        tmp_path,
        [
            record(1, method="CONNECT", tls="splice", tls_rule="banks"),
            record(
                2, method="CONNECT", tls="bump", tls_rule=None, tls_shadow=[{**shadow[0], "action": "splice"}]
            ),
            record(3, shadow=shadow),
            record(4, shadow=shadow),
        ],
    )
    assert found.rules == (
        RuleTally("", "no uploads", "p.yaml:7", "block", 0, 2, START + 4),
        RuleTally("tls", "banks", "", "splice", 1, 0, START + 1),
        RuleTally("tls", "no uploads", "p.yaml:7", "splice", 0, 1, START + 2),
    )


def test_missing_numbers_are_told_from_those_that_are_explained(tmp_path: Path) -> None:
    found = report_of(
        tmp_path,
        [
            record(1),
            record(2),
            event(9000, "lost", source="k3v7q2xa", count=3, why="disk full", before=6),
            event(9000, "lost", source="k3v7q2xa", count=50, why="disk full", before=90),
            event(9000, "lost", source="other", count=70, why="disk full", before=6),
            record(6),
            record(9, id="m8d2w5pz-9", seq=9),
            record(11, id="m8d2w5pz-b", seq=11),
        ],
    )
    assert found.gaps == Gaps(4, 3, (("disk full", 3),))
    assert found.gaps.unexplained == 1


def test_losses_of_no_known_source_explain_what_is_missing_then(tmp_path: Path) -> None:
    torn = event(3, "lost", count=5, why="a pipe that nobody read")
    assert report_of(tmp_path, [record(1), torn, record(4)]).gaps == Gaps(2, 2, ((torn["why"], 5),))


def test_a_record_that_came_before_an_earlier_number_is_no_gap(tmp_path: Path) -> None:
    found = report_of(tmp_path, [record(1, seq=2), record(-5, seq=3), record(2, seq=4)])
    assert found.totals.requests == 2
    assert found.gaps == Gaps()


def test_only_the_period_counts_and_an_empty_one_is_told(tmp_path: Path) -> None:
    records = [record(1), event(2, "policy", source="k3v7q2xa", seq=2, digest="5bf2"), record(3)]
    found = report_of(tmp_path, records, Period(START, START + 2))
    assert (found.totals.requests, found.policies) == (1, ())
    with closing(open_store(tmp_path / "events.db")) as store:
        assert make_report(store.connection, Period(START, START + 3)).policies == ((START + 2, "5bf2"),)
        none = make_report(store.connection, Period(START - 9, START))
    assert none.is_empty
    assert (none.first, none.hosts, none.rules, sum(one.total for one in none.slots)) == (
        START + 1,
        (),
        (),
        0,
    )


def test_lists_are_as_long_as_asked_and_the_most_frequent_come_first(tmp_path: Path) -> None:
    records = [record(n, user=f"u{n % 7}", url=f"http://h{n % 5}.example/") for n in range(1, 50)]
    records += [record(50, user="u3", **BLOCKED)]
    found = report_of(tmp_path, records, top=2)
    assert found.users == (Tally("u3", 8, 1), Tally("u0", 7, 0))
    assert [one.name for one in found.hosts] == ["h1.example", "h2.example"]
    assert [one.name for one in found.blocked_hosts] == ["www.games.example"]


def test_people_are_withheld(tmp_path: Path) -> None:
    found = report_of(tmp_path, [record(1), record(2), record(3, client="2001:db8:1:2::3")], anonymise=True)
    assert found.users == ()
    assert found.clients == (Tally("10.1.2.0", 2, 0), Tally("2001:db8:1::", 1, 0))
    assert (found.totals.users, found.totals.clients) == (0, 2)


@pytest.mark.parametrize(
    ("days", "step", "slots"),
    [(1 / 24, 60, 60), (1, 3600, 24), (7, 3 * 3600, 56), (31, 86_400, 31), (3650, 5_086_452, 62)],
)
def test_slots_are_units_of_time_and_not_too_many(days: float, step: int, slots: int) -> None:
    period = Period(0, days * 86_400)
    assert (period.step, period.slots) == (step, slots)


def test_slots_begin_at_local_midnight() -> None:
    period = Period(1_795_392_000 + 1800, 1_795_392_000 + 40 * 86_400, shift=5 * 3600 + 1800)
    assert (period.origin + period.shift) % 86_400 == 0
    assert period.origin <= period.since < period.origin + period.step
    assert period.origin + period.slots * period.step >= period.until


def plan(database: sqlite3.Connection, query: str, values: Any) -> list[str]:
    return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {query}", values)]


def test_a_period_is_found_by_indexes(tmp_path: Path) -> None:
    """200,000 records: what is outside of the period is not looked at."""
    with closing(open_store(tmp_path / "events.db", readonly=False)) as store:
        database = store.connection
        database.execute(
            "INSERT INTO records(time, source, seq, id, point, method, host, url, client, action, stage) "
            "WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 200000) "
            "SELECT ? + n * 3.02, 'k3v7q2xa', n, 'k3v7q2xa-' || n, 'reqmod', 'GET', 'h' || n % 999 || '.example', "
            "'/', '10.0.0.' || n % 250, 'allow', 'default' FROM count",
            (sample.WEEK,),
        )
        database.create_function("network_of", 1, lambda client: client)
        names = {"since": 0, "until": 1, "origin": 0, "step": 60, "anonymise": 0, "sources": 10}
        assert plan(database, COPY.partition(" AS ")[2], names) == [
            "SEARCH records USING INDEX records_time (time>? AND time<?)"
        ]
        by_time, *rest = plan(database, SOURCES, names)
        assert by_time == "SEARCH records USING INDEX records_time (time>? AND time<?)"
        assert rest == ["USE TEMP B-TREE FOR GROUP BY"]
        assert plan(database, LOST, {"source": "a", "low": 1, "high": 2}) == [
            "SEARCH records USING INDEX records_event (event=?)"
        ]
        assert plan(database, HELD, ("a", 1, 2)) == [
            "SEARCH records USING COVERING INDEX records_seq (source=? AND seq>? AND seq<?)"
        ]
        steps = [0]
        database.set_progress_handler(lambda: steps.__setitem__(0, steps[0] + 1), 1000)
        make_report(database, Period(sample.END - 3600, sample.END))
        hour, steps[0] = steps[0], 0
        found = make_report(database, Period(sample.WEEK, sample.END))
        assert hour * 20 < steps[0]
        assert found.totals.requests + found.totals.responses == 200_000
        assert not database.execute("SELECT name FROM sqlite_temp_master").fetchall()
