"""Every number that is missing is found, and whether it was told why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.events.gaps import Numbering
from tests.events.recorded import record


def lost(count: int, before: int | None = None, why: str = "disk full") -> dict[str, object]:
    told: dict[str, object] = {"event": "lost", "source": "k3v7q2xa", "count": count, "why": why}
    return told if before is None else told | {"before": before}


def numbering(*records: dict[str, object]) -> Numbering:
    made = Numbering()
    for each in records:
        made.take(each)
    return made


def test_all_are_there() -> None:
    found = numbering(*(record(n) for n in (5, 6, 7)), record(1, id="other-1"))
    assert found.report() == ["4 records of 2 processes: 0 missing, 0 of them unexplained"]


def test_what_was_told_explains_what_is_missing() -> None:
    found = numbering(*(record(n) for n in (1, 2, 5, 8)), lost(2, 5), lost(2, 8, "the log was behind"))
    assert found.report() == [
        "k3v7q2xa: 4 missing (3-4, 6-7): 2 lost (disk full), 2 lost (the log was behind)",
        "4 records of 1 processes: 4 missing, 0 of them unexplained",
    ]


def test_what_nothing_explains_is_said() -> None:
    found = numbering(record(3), record(9), lost(5, 3), lost(1))
    assert found.report()[0] == "k3v7q2xa: 5 missing (4-8): 1 lost (disk full), 4 unexplained"
    assert found.unexplained() == 4


def test_the_last_that_were_lost_are_missing_too() -> None:
    found = numbering(record(1), lost(3, 5))
    assert found.report()[0] == "k3v7q2xa: 3 missing (2-4): 3 lost (disk full)"
    assert numbering(lost(3, 5)).unexplained() == 0


def test_old_logs_have_no_numbers() -> None:
    assert numbering(record(1, seq=None)).report() == [
        "0 records of 0 processes: 0 missing, 0 of them unexplained, 1 records without a number"
    ]


@pytest.mark.parametrize("value", [None, "x", -1, 2**80])
def test_odd_lines_do_no_harm(value: object) -> None:
    odd = {"event": "lost", "count": value, "before": value, "source": 5}
    numbering(record(1), odd, record(2, seq=value)).report()


@given(st.permutations(range(1, 12)), st.sets(st.integers(2, 10)))
def test_in_any_order_the_missing_are_found(order: list[int], gone: set[int]) -> None:
    found = numbering(*(record(n) for n in order if n not in gone))
    missing = {n for first, last in found.life("k3v7q2xa").missing() for n in range(first, last + 1)}
    assert missing == gone
    assert found.unexplained() == len(gone)
