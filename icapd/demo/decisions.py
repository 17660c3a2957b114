"""Reads icapd's decision log: JSON, one line a transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """One decision; `all` holds every key of the line, the others are the ones most asked for."""

    time: datetime
    id: str
    point: str
    method: str
    url: str
    action: str
    rule: str | None
    all: dict[str, Any]

    @classmethod
    def parse(cls, line: bytes) -> Record:
        """Read one line of the log. Raises ValueError if it is not a decision."""
        value = json.loads(line)
        if not isinstance(value, dict) or "time" not in value:
            msg = f"not a decision: {line[:200]!r}"
            raise ValueError(msg)
        names = ("id", "point", "method", "url", "action")
        texts = {name: str(value.get(name) or "") for name in names}
        time = datetime.fromisoformat(value["time"])
        return cls(time=time, **texts, rule=value.get("rule") or None, all=value)


class Decisions:
    """The log file, which need not exist yet. Marks are byte offsets."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> int:
        """Return a place in the log for `since`."""
        return self.path.stat().st_size if self.path.exists() else 0

    def since(self, mark: int) -> list[Record]:
        """Return all whole lines on transactions written after `mark`, oldest first."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as log:
            log.seek(mark)
            found = [Record.parse(line) for line in log if line.endswith(b"\n")]
        return [record for record in found if record.all.get("event") not in {"policy", "lost"}]
