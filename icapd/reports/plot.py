"""Plots as inline SVG: stacked bars over time with axes and units, and small bars for tables.

Colours are classes, which the page's style sheet gives a colour for light, dark and paper. Only numbers and
words of icapd are drawn, no value that a client sent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from icapd.reports.words import moment, short

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 26, 26
_LABEL = 64  # units of width that a label of time takes
_DAY = 86_400
_SPANS = (
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3600 * hours for hours in (1, 2, 3, 6, 12)),
    *(_DAY * days for days in (1, 2, 4, 7, 14, 28, 56, 112, 364, 728)),
)  # s between two labels
_LINES = 5  # of the grid, at most


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a plot: its class, its name, and a value for each slot."""

    style: str
    name: str
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class Axis:
    """Time across: when the first slot begins (s since the epoch), how long each is, and local time."""

    begins: float
    step: int
    shift: int

    def at(self, slot: int) -> float:
        """When a slot begins."""
        return self.begins + slot * self.step

    def label(self, slot: int) -> str:
        """Return what stands below a slot: the hour, or at midnight and for longer steps the day."""
        local = self.at(slot) + self.shift
        return moment(self.at(slot), self.shift, "%d %b" if local % _DAY == 0 else "%H:%M")


def ticks(most: float) -> list[int]:
    """Return whole numbers from 0 to beyond `most`, in steps of 1, 2 or 5 times a power of ten."""
    steps = (factor * 10**power for power in range(18) for factor in (1, 2, 5))
    step = next(one for one in steps if one * _LINES >= most)
    count = max(1, -int(-most // step))
    return [step * number for number in range(count + 1)]


def stacked(title: str, unit: str, axis: Axis, series: Sequence[Series], *, width: int, height: int) -> str:
    """Return bars over time, `series` upon each other. `unit` stands at the axis upwards."""
    count = max((len(one.values) for one in series), default=0) or 1
    totals = [sum(one.values[slot] for one in series) for slot in range(count)]
    marks = ticks(max(totals, default=0) or 1)
    across = (width - _LEFT - _RIGHT) / count
    tall = height - _TOP - _BOTTOM
    bottom = height - _BOTTOM

    def up(value: float) -> float:
        return value / marks[-1] * tall

    parts = [f'<text class="unit" x="2" y="12">{escape(unit)}</text>']
    for mark in marks:
        y = bottom - up(mark)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{width - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(mark)}</text>')
    for slot in range(count):
        x = _LEFT + slot * across
        parts.append("<g>" + _told(axis, series, slot))
        y = float(bottom)
        for one in series:
            if one.values[slot]:
                tall_here = max(up(one.values[slot]), 0.8)
                y -= tall_here
                parts.append(
                    f'<rect class="{one.style}" x="{x + across * 0.1:.2f}" y="{y:.2f}" '
                    f'width="{across * 0.8:.2f}" height="{tall_here:.2f}"/>'
                )
        parts.append(f'<rect class="over" x="{x:.2f}" y="{_TOP}" width="{across:.2f}" height="{tall}"/></g>')
    parts.append(f'<path class="axis" d="M{_LEFT} {bottom}H{width - _RIGHT}"/>')
    parts += _times(axis, count, across, bottom)
    return _svg("plot", f"0 0 {width} {height}", title, parts)


def _told(axis: Axis, series: Sequence[Series], slot: int) -> str:
    """Return what is said of a slot when it is pointed at."""
    figures = ", ".join(f"{one.values[slot]:,} {one.name}" for one in series if one.values[slot]) or "nothing"
    return f"<title>{moment(axis.at(slot), axis.shift, '%a %d %b %H:%M')}: {escape(figures)}</title>"


def _times(axis: Axis, count: int, across: float, bottom: float) -> Iterator[str]:
    """Yield marks and labels of time, as many as there is room for, where clocks have marks too."""
    room = _LABEL / across * axis.step  # s that a label is wide
    span = next((one for one in _SPANS if one >= room and one % axis.step == 0), 0)
    shown = [slot for slot in range(count) if span and (axis.at(slot) + axis.shift) % span == 0]
    for slot in shown or range(0, count, max(1, math.ceil(_LABEL / across))):
        x = _LEFT + slot * across
        middle = x + (across / 2 if axis.step >= _DAY else 0)
        yield f'<path class="axis" d="M{middle:.1f} {bottom}v5"/>'
        anchor = "start" if middle < _LEFT + 8 and axis.step < _DAY else "middle"
        yield f'<text x="{middle:.1f}" y="{bottom + 20:.1f}" text-anchor="{anchor}">{axis.label(slot)}</text>'


def bar(parts: Sequence[tuple[str, int]], most: int) -> str:
    """Return a bar for a table's cell: (class, value) beside each other; `most` would fill it."""
    x = 0.0
    drawn = ['<rect class="track" width="100" height="8"/>']
    for style, value in parts:
        length = min(100.0 - x, max(100 * value / (most or 1), 0.6 if value else 0))
        if length > 0:
            drawn.append(f'<rect class="{style}" x="{x:.2f}" width="{length:.2f}" height="8"/>')
            x += length
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(drawn)}</svg>"
    )


def _svg(style: str, box: str, title: str, parts: Sequence[str]) -> str:
    head = f'<svg class="{style}" viewBox="{box}" role="img" aria-label="{escape(title)}">'
    return "\n".join([head, *parts, "</svg>"])
