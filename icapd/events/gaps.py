"""Whether all records are there: the numbers of each life of a process, those that are missing, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from icapd.events.rows import life_of

if TYPE_CHECKING:
    from icapd.events.formats import Record

_SHOWN = 5  # runs of missing numbers that are spelled out


@dataclass(slots=True)
class Life:
    """One life of a serving process: which of its numbers are there, as runs, and what was told as lost."""

    source: str
    runs: list[list[int]] = field(default_factory=list)
    """[first, last] of numbers without a gap, in the order they came."""
    told: list[tuple[int, int, str]] = field(default_factory=list)
    """How many are lost, below which number (0: not known), and why."""

    def add(self, number: int) -> None:
        """Note a number that is there."""
        if self.runs and self.runs[-1][1] + 1 == number:
            self.runs[-1][1] = number
        else:
            self.runs.append([number, number])

    def missing(self) -> list[tuple[int, int]]:
        """Return the runs that are missing after the first number there is, or below one that was told of."""
        found: list[tuple[int, int]] = []
        runs = sorted(self.runs)
        after = runs[0][0] if runs else 0
        for first, last in runs:
            if first > after:
                found.append((after, first - 1))
            after = max(after, last + 1)
        told = max((before for _, before, _ in self.told), default=0)
        if runs and told > after:
            found.append((after, told - 1))
        return found

    def explained(self) -> Counter[str]:
        """Return how many are told as lost, by the reason, but for those before the first number there is."""
        first = min((run[0] for run in self.runs), default=0)
        counts: Counter[str] = Counter()
        for count, before, why in self.told:
            if not before or before > first:
                counts[why] += count
        return counts

    def unexplained(self) -> int:
        """Return how many are missing without a reason."""
        return max(0, sum(last - first + 1 for first, last in self.missing()) - self.explained().total())

    def __str__(self) -> str:
        """Return a line for people."""
        runs = self.missing()
        count = sum(last - first + 1 for first, last in runs)
        places = ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in runs[:_SHOWN])
        more = ", …" if len(runs) > _SHOWN else ""
        why = ", ".join(f"{number} lost ({text})" for text, number in self.explained().items())
        rest = self.unexplained()
        reasons = [text for text in (why, f"{rest} unexplained" if rest else "") if text]
        return f"{self.source}: {count} missing ({places}{more}): {', '.join(reasons) or 'explained'}"


class Numbering:
    """Takes records, in any order of the processes they are from."""

    def __init__(self) -> None:
        self.lives: dict[str, Life] = {}
        self.unnumbered = 0

    def take(self, record: Record) -> None:
        """Note one record."""
        source = life_of(record) or "?"
        number = record.get("seq")
        if record.get("event") == "lost":
            count, before = record.get("count"), record.get("before", 0)
            told = count if isinstance(count, int) else 0, before if isinstance(before, int) else 0
            self.life(source).told.append((*told, str(record.get("why"))))
        elif isinstance(number, int):
            self.life(source).add(number)
        else:
            self.unnumbered += 1

    def life(self, source: str) -> Life:
        """Return what is known of one life."""
        if source not in self.lives:
            self.lives[source] = Life(source)
        return self.lives[source]

    def report(self) -> list[str]:
        """Return lines for people: one for each life of which something is missing, then a summary."""
        bad = [life for life in self.lives.values() if life.missing()]
        records = sum(last - first + 1 for life in self.lives.values() for first, last in life.runs)
        missing = sum(last - first + 1 for life in bad for first, last in life.missing())
        lines = [str(life) for life in bad]
        old = f", {self.unnumbered} records without a number" if self.unnumbered else ""
        lines.append(
            f"{records} records of {len(self.lives)} processes: {missing} missing, "
            f"{self.unexplained()} of them unexplained{old}"
        )
        return lines

    def unexplained(self) -> int:
        """Return how many are missing without a reason."""
        return sum(life.unexplained() for life in self.lives.values())
