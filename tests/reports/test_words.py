"""Numbers, times and shares as people read them."""

from __future__ import annotations

import pytest

from icapd.reports.words import counted, each, grouped, moment, share, short, span, zone_name


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (7.5, "7.5"),
        (9999, "9,999"),
        (10_000, "10k"),
        (123_456, "123k"),
        (1.5e6, "1.5M"),
        (2e9, "2G"),
    ],
)
def test_an_axis_has_short_numbers(value: float, told: str) -> None:
    assert short(value) == told


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [(0, 0, "0 %"), (0, 5, "0 %"), (1, 2000, "<0.1 %"), (1, 64, "1.6 %"), (1, 3, "33 %"), (5, 5, "100 %")],
)
def test_shares_are_told_as_fine_as_they_matter(part: int, whole: int, told: str) -> None:
    assert share(part, whole) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(60, "minute"), (10_800, "3 hours"), (86_400, "day"), (7 * 86_400, "7 days"), (5, "5 seconds")],
)
def test_steps_are_units(seconds: int, told: str) -> None:
    assert each(seconds) == told


def test_times_are_local_and_say_so() -> None:
    assert moment(0, 3600) == "01 Jan 1970 01:00"
    assert moment(0, 0, "%H:%M") == "00:00"
    assert moment(1e300, 0) == "?"
    assert [zone_name(shift) for shift in (0, 3600, 19_800, -12_600)] == [
        "UTC",
        "UTC+1",
        "UTC+5:30",
        "UTC−3:30",  # noqa: RUF001
    ]
    assert span(5400) == "1.5 hours"


def test_counts_have_their_words() -> None:
    assert [counted(n, "body", "bodies") for n in (0, 1, 1234)] == ["0 bodies", "1 body", "1,234 bodies"]
    assert grouped(1234567) == "1,234,567"
