"""Which records are found, and that what is shown is harmless to terminals and spreadsheets."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from icapd.events.search import COLUMNS, Search, as_csv, as_table, read_moment, read_records

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RECORD: dict[str, Any] = {
    "time": "2026-11-24T10:00:00.000Z",
    "id": "k3v7q2xa-1f",
    "point": "reqmod",
    "method": "GET",
    "url": "https://www.games.example:8443/a?b=c",
    "client": "10.1.2.3",
    "user": "Anna",
    "action": "block",
    "stage": "access",
    "rule": "no games at work",
    "category": None,
    "threat": "Win.Test.EICAR",
}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-11-24T10:00+02:00", datetime(2026, 11, 24, 8, tzinfo=UTC)),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    assert read_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "999999d", "0001-01-01T00:00+23:00x"])
def test_what_is_no_moment_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{re.escape(text)}' is no time such as"):
        read_moment(text, NOW)


@pytest.mark.parametrize(
    "search",
    [
        Search(),
        Search(since=NOW - timedelta(hours=3), until=NOW),
        Search(client="10.1.2.3"),
        Search(client="10.0.0.0/8"),
        Search(user="anna"),
        Search(host="games.example"),
        Search(host="WWW.games.example."),
        Search(rule="GAMES"),
        Search(action="block"),
        Search(threat="eicar"),
        Search(id="k3v7q2xa-1f"),
    ],
)
def test_found(search: Search) -> None:
    assert search.finds(RECORD)


@pytest.mark.parametrize(
    "search",
    [
        Search(since=NOW - timedelta(hours=1)),
        Search(until=NOW - timedelta(hours=2)),
        Search(client="10.1.2.4"),
        Search(client="2001:db8::/32"),
        Search(user="ann"),
        Search(host="ames.example"),
        Search(host="example.games"),
        Search(rule="films"),
        Search(action="allow"),
        Search(threat="macro"),
        Search(id="k3v7q2xa-1"),
    ],
)
def test_not_found(search: Search) -> None:
    assert not search.finds(RECORD)


def test_a_client_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        Search(client="anna")


def test_a_connect_is_found_by_its_host() -> None:
    assert Search(host="games.example").finds({**RECORD, "url": "www.games.example:443"})


def test_lines_that_are_no_record_are_told_apart() -> None:
    lines = [b'{"time": "x"}\n', b'{"torn', b"[1]\n", b"[" * 100_000]
    assert [record is None for record in read_records(iter(lines))] == [False, True, True, True]


def test_a_line_for_people_is_one_printable_line() -> None:
    hostile = {**RECORD, "url": "http://a/\r\n\x1b[31m\u202e", "user": "a\nb" * 50, "client": None}
    line = as_table(hostile)
    assert line.isprintable()
    assert "\\x1b[31m\\u202e" in line
    assert "(Win.Test.EICAR)" in line


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_csv_holds_no_formula(start: str) -> None:
    value = f'{start}HYPERLINK("http://evil","x"),1'
    (row,) = csv.reader([as_csv({**RECORD, "rule": value})])
    found = dict(zip(COLUMNS, row, strict=True))
    assert found["rule"] == "'" + value
    assert found["user"] == "Anna"
    assert found["category"] == ""
