"""Plots are sound SVG: whole axes, bars as long as their values, labels that do not collide."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from icapd.reports.plot import Axis, Series, bar, stacked, ticks

DAY = 86_400


def drawn(axis: Axis, values: list[int], more: list[int], *, width: int = 600) -> ET.Element:
    series = [Series("passed", "passed", values), Series("blocked", "blocked", more)]
    return ET.fromstring(stacked("a & b", "per day", axis, series, width=width, height=200))


@pytest.mark.parametrize(
    ("most", "marks"),
    [
        (1, [0, 1]),
        (4, [0, 1, 2, 3, 4]),
        (7, [0, 2, 4, 6, 8]),
        (100, [0, 20, 40, 60, 80, 100]),
        (12_345, [0, 5000, 10_000, 15_000]),
    ],
)
def test_axes_have_round_numbers(most: int, marks: list[int]) -> None:
    assert ticks(most) == marks


def test_bars_stand_upon_each_other_and_are_as_high_as_their_values() -> None:
    plot = drawn(Axis(0, DAY, 0), [10, 0, 5], [10, 4, 0])
    found = {
        name: [float(one.get("height", 0)) for one in plot.iter("rect") if one.get("class") == name]
        for name in ("passed", "blocked")
    }
    assert found["passed"][0] == found["blocked"][0] == 2 * found["passed"][1]
    tops = [
        (one.get("class"), float(one.get("y", 0))) for one in plot.iter("rect") if one.get("class") != "over"
    ]
    assert tops[1][1] == pytest.approx(tops[0][1] - found["blocked"][0])
    assert [one.text for one in plot.iter("title")] == [
        "Thu 01 Jan 00:00: 10 passed, 10 blocked",
        "Fri 02 Jan 00:00: 4 blocked",
        "Sat 03 Jan 00:00: 5 passed",
    ]
    assert plot.get("aria-label") == "a & b"
    assert [one.text for one in plot.iter("text")][:2] == ["per day", "0"]


@pytest.mark.parametrize("width", [360, 1120])
@pytest.mark.parametrize("step", [60, 3600, 3 * 3600, 6 * 3600, DAY, 7 * DAY])
@pytest.mark.parametrize("count", [1, 7, 62])
def test_labels_do_not_collide(width: int, step: int, count: int) -> None:
    plot = drawn(Axis(1_795_392_000, step, 3600), [1] * count, [0] * count, width=width)
    places = [
        float(one.get("x", 0)) for one in plot.iter("text") if re.search(r":\d\d|\d \w\w\w$", one.text or "")
    ]
    assert places
    assert all(after - before >= 55 for before, after in pairwise(places))


def test_days_are_named_where_they_begin() -> None:
    plot = drawn(Axis(-3600, 6 * 3600, 3600), [1] * 8, [0] * 8)
    labels = [one.text for one in plot.iter("text") if one.text and (":" in one.text or "Jan" in one.text)]
    assert labels == ["01 Jan", "06:00", "12:00", "18:00", "02 Jan", "06:00", "12:00", "18:00"]


def test_nothing_at_all_is_drawn_too() -> None:
    assert len(list(drawn(Axis(0, DAY, 0), [0], [0]).iter("rect"))) == 1


def test_a_bar_in_a_table_never_leaves_its_cell() -> None:
    parts = [
        one
        for one in ET.fromstring(bar([("blocked", 60), ("passed", 70)], 100))
        if one.get("class") != "track"
    ]
    assert [float(one.get("width", 0)) for one in parts] == [60, 40]
    assert len(ET.fromstring(bar([("blocked", 0)], 0))) == 1
    assert float(ET.fromstring(bar([("blocked", 1)], 10**9))[1].get("width", 0)) == 0.6
