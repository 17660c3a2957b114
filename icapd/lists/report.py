"""What became of the lines of a list: nothing is skipped in silence."""

from __future__ import annotations

from dataclasses import dataclass

MAX_SHOWN = 20  # lines named for each list; all are counted


@dataclass(frozen=True, slots=True)
class Ignored:
    """One line that names no domain. `line` is 1-based."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ListReport:
    """One list: names accepted (each once), lines ignored, the reasons with their counts.

    `examples` holds the first lines ignored, at most MAX_SHOWN.
    """

    name: str
    accepted: int
    ignored: int
    reasons: tuple[tuple[str, int], ...]
    examples: tuple[Ignored, ...]
