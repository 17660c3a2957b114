"""Two kinds of plot as small SVG files that read on light and dark pages: bars of ratios, and lines of growth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH = 760
_ROW = 26
_LEFT, _RIGHT = 180, 120  # of bars: for titles and for figures
_GOOD, _BAD, _GREY, _TEXT = "#2f7d4f", "#b3401f", "#8a8f98", "#6b7280"
_COLOURS = ("#2f6fb0", "#b3401f", "#2f7d4f")
_STYLE = f"font-family:sans-serif;font-size:12px;fill:{_TEXT}"


@dataclass(frozen=True, slots=True)
class Bar:
    """`score`: how many times the bound is reached; 1 is just met. None: not measured."""

    title: str
    figure: str
    score: float | None


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Return bars on a logarithmic scale around the line where a promise is met; what misses it points left."""
    height = _ROW * len(rows) + 70
    reach = (_WIDTH - _RIGHT - _LEFT) / 2  # the same for losses as for wins
    middle = _LEFT + reach
    parts = [_text(10, 20, title, weight="bold"), _text(middle, 42, "just met", anchor="middle")]
    for number, row in enumerate(rows):
        top = 52 + number * _ROW
        parts.append(_text(_LEFT - 8, top + 15, row.title, anchor="end"))
        if row.score is None:
            parts.append(_text(middle + 6, top + 15, "not measured"))
            continue
        # four times the bound, and a quarter of it, fill the plot
        length = max(-reach, min(reach, math.log(max(row.score, 0.01), 4) * reach))
        left = middle + min(0.0, length)
        colour = _GOOD if row.score >= 1 else _BAD
        parts.append(
            f'<rect x="{left:.1f}" y="{top + 3}" width="{max(1.5, abs(length)):.1f}" height="{_ROW - 8}" fill="{colour}"/>'
        )
        parts.append(_text(_WIDTH - _RIGHT + 8, top + 15, row.figure))
    parts.append(f'<path d="M{middle:.1f} 48V{height - 10}" stroke="{_GREY}" stroke-dasharray="4 3"/>')
    return _svg(height, title, parts)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot: what it shows, and its points."""

    title: str
    points: Sequence[tuple[float, float]]


def lines(title: str, across: str, up: str, rows: Sequence[Line]) -> str:
    """Return lines over a logarithmic axis; the axis upwards is linear and begins at 0."""
    height, left, right, top, bottom = 300, 80, _WIDTH - 30, 50, 250
    xs = [x for row in rows for x, _ in row.points]
    most = max(y for row in rows for _, y in row.points) or 1.0
    low, high = math.log10(min(xs)), math.log10(max(xs))

    def place(x: float, y: float) -> tuple[float, float]:
        share = (math.log10(x) - low) / (high - low) if high > low else 0.5
        return left + share * (right - left), bottom - y / most * (bottom - top)

    parts = [_text(10, 20, title, weight="bold"), _text(10, 40, up), _text(right, 290, across, anchor="end")]
    parts.append(f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="{_GREY}"/>')
    parts += [
        _text(left - 8, bottom - share * (bottom - top) + 4, number(share * most), anchor="end")
        for share in (0.0, 0.5, 1.0)
    ]
    parts += [_text(place(x, 0)[0], bottom + 18, number(x), anchor="middle") for x in sorted(set(xs))]
    for index, row in enumerate(rows):
        colour = _COLOURS[index % len(_COLOURS)]
        points = [place(x, y) for x, y in row.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
        parts.append(_text(left + 12 + 220 * index, 290, row.title, fill=colour))
    return _svg(height, title, parts)


def number(value: float) -> str:
    """Return a number as one reads it at an axis: 10 k, 1 M, 2.5."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "", fill: str = "") -> str:
    more = (f' font-weight="{weight}"' if weight else "") + (f' style="fill:{fill}"' if fill else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _svg(height: int, title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-label="{escape(title)}" style="{_STYLE}">'
    )
    return "\n".join([head, f"<title>{escape(title)}</title>", *parts, "</svg>"]) + "\n"
