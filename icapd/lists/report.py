"""What became of the lines of a list: nothing is skipped in silence."""

from __future__ import annotations

from dataclasses import dataclass

MAX_SHOWN = 5  # lines named for each reason; all are counted


@dataclass(frozen=True, slots=True)
class Ignored:
    """Lines of one file ignored for one reason: how many, and the first of them (1-based)."""

    reason: str
    count: int
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file of a list: its format as it was read, entries taken (repeated ones too), lines ignored."""

    file: str
    format: str
    accepted: int
    ignored: tuple[Ignored, ...]


@dataclass(frozen=True, slots=True)
class ListReport:
    """One list: its entries, each once, and its files."""

    name: str
    entries: int
    files: tuple[FileReport, ...]

    @property
    def accepted(self) -> int:
        """Entries taken from all files, repeated ones too."""
        return sum(file.accepted for file in self.files)

    @property
    def ignored(self) -> int:
        """Lines ignored in all files."""
        return sum(each.count for file in self.files for each in file.ignored)
