"""How far a receiver has the log: what is sure to have arrived, kept in a file, and what is missing.

Pure but for that file; times are of any clock that does not go back.
"""

from __future__ import annotations

import json
import os
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from icapd.events.follow import Position

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MOST_SOURCES = 64  # lives of processes whose last number is kept
_MAX_FILE = 1 << 20  # bytes


class Count:
    """Records that are missing by their numbers: those between two of one source, less those told as `lost`.

    Where a source begins in the middle is not known to be a gap: an output begins with what comes.
    """

    def __init__(self, seen: Mapping[str, int] | None = None, missing: int = 0) -> None:
        self._seen = dict(seen or {})
        self._missing = missing

    @property
    def missing(self) -> int:
        """How many, as far as is known now: the line that tells why may still come."""
        return max(0, self._missing)

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one record of the log, in its order."""
        if record.get("event") == "lost" and isinstance(count := record.get("count"), int):
            self._missing -= count
        number = record.get("seq")
        if not isinstance(number, int):
            return
        of = record.get("source") if "event" in record and "source" in record else None
        source = str(of or record.get("id") or "").partition("-")[0]
        last = self._seen.pop(source, None)
        if last is not None:
            self._missing += max(0, number - last - 1)
        self._seen[source] = max(number, last or 0)
        if len(self._seen) > _MOST_SOURCES:
            del self._seen[next(iter(self._seen))]

    def copy(self) -> Count:
        """Return one that counts on from here by itself."""
        return Count(self._seen, self._missing)

    def as_json(self) -> dict[str, Any]:
        """Return what `Count` takes."""
        return {"seen": self._seen, "missing": self._missing}


@dataclass(slots=True)
class Reached:
    """A point in the log, and what was counted up to it."""

    position: Position
    count: Count = field(default_factory=Count)


@dataclass(slots=True)
class _Mark:
    end: int  # of the connection's bytes
    reached: Reached
    acknowledged: float | None = None


class Window:
    """What one connection was given and may still lose: bytes on their way, and bytes that nobody has read.

    That its machine has acknowledged bytes does not say that the receiver has read them. So they count as
    arrived `doubt` s later only, if the connection is still whole then and the receiver takes what comes.
    """

    def __init__(self, doubt: float) -> None:
        self._doubt = doubt
        self._marks: deque[_Mark] = deque()
        self._at = 0  # marks before this one are acknowledged

    def sent(self, end: int, reached: Reached) -> None:
        """Note that the records up to `reached` are in the first `end` bytes."""
        self._marks.append(_Mark(end, reached))

    def acknowledged(self, end: int, now: float) -> None:
        """Note that the other machine has the first `end` bytes."""
        while self._at < len(self._marks) and self._marks[self._at].end <= end:
            self._marks[self._at].acknowledged = now
            self._at += 1

    def arrived(self, now: float) -> Reached | None:
        """Return how far all is sure to have arrived, if that is further than when last asked."""
        found = None
        while self._at and (since := self._marks[0].acknowledged) is not None and since <= now - self._doubt:
            found = self._marks.popleft().reached
            self._at -= 1
        return found


class PositionFile:
    """Keeps `Reached` beside the log, whole at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Reached | None:
        """Return what was kept, None if there is nothing, or nothing to be made sense of. Raises OSError."""
        try:
            with self.path.open("rb") as file:
                kept = json.loads(file.read(_MAX_FILE))
            seen = {str(name): int(number) for name, number in kept["seen"].items()}
            return Reached(Position.read(kept["position"]), Count(seen, int(kept["missing"])))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, to: str, reached: Reached) -> None:
        """Keep it. Raises OSError."""
        kept = {"to": to, "position": str(reached.position), **reached.count.as_json()}
        new = self.path.with_name(self.path.name + ".new")
        with new.open("w", encoding="ascii") as file:
            json.dump(kept, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
