"""The page's part on growth: what `python -m tests.bench.growth` measured, as tables and plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench import svg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.report import Document

_TITLES = {
    "rules": "Number of rules",
    "lists": "Size of a list",
    "connections": "Idle connections",
    "bodies": "Size of a body",
    "workers": "Workers",
}
_ABOUT = {
    "rules": "Rules that do not match what is asked for, of eight kinds in turn, and a list; one core.",
    "lists": "200 rules and one list; build is once for a changed list, open at each start or reload.",
    "connections": "Connections that say nothing, held open while 16 others ask at an equal rate.",
    "bodies": "RESPMOD echo: the whole body in and out, one core.",
    "workers": "REQMOD, 25 % blocked, 64 connections; servers and load share all cores.",
}
# by part: the axis across, the axis up, and the columns that are drawn
_DRAWN = {
    "rules": ("rules", "CPU µs", ("cpu µs", "decision µs")),
    "lists": ("names", "CPU µs", ("cpu µs", "hit µs", "miss µs")),
    "bodies": ("bytes", "MB/s", ("MB/s",)),
}


def growth_text(growth: Document, plots: dict[str, str]) -> str:
    """Return the part in Markdown; puts its plots into `plots`, by their files' names."""
    parts = [
        "## Growth",
        f"{growth['date']}; {growth['machine']}; load of the machine before: {growth['load_before']:.1f}.",
    ]
    for name, title in _TITLES.items():
        rows = growth.get(name)
        if rows:
            parts += [f"### {title}", _ABOUT[name], _table(rows)]
        if rows and name in _DRAWN:
            file = f"benchmarks-{name}.svg"
            plots[file] = _plot(name, title, rows)
            parts.append(f"![{title.lower()}: cost](images/{file})")
    parts += [f"- {note}" for note in growth["notes"]]
    return "\n\n".join(parts)


def _plot(name: str, title: str, rows: Sequence[Document]) -> str:
    across, up, columns = _DRAWN[name]
    drawn = [svg.Line(column, [(row[across], row[column]) for row in rows]) for column in columns]
    return svg.lines(f"{title}: cost", across, up, drawn)


def _table(rows: Sequence[Document]) -> str:
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "--:|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
