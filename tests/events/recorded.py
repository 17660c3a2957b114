"""Records for tests of the store, and lines of a log."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

BEGIN = dt.datetime(2026, 11, 24, 10, tzinfo=dt.UTC)


def record(number: int = 1, **given: Any) -> dict[str, Any]:
    """Return the decision `number`, a second after the one before; what is None in `given` stays, as null."""
    time = (BEGIN + dt.timedelta(seconds=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    made: dict[str, Any] = {
        "time": time,
        "id": f"k3v7q2xa-{number:x}",
        "point": "reqmod",
        "method": "GET",
        "url": f"https://www.games.example:8443/{number}?b=c",
        "client": f"10.1.2.{number % 250}",
        "user": "Anna",
        "action": "allow",
        "stage": "default",
        "rule": None,
        "source": None,
        "category": None,
        "status": 204,
        "seq": number,
    }
    return made | given


def line(number: int = 1, **given: Any) -> bytes:
    """Return the same as it is in the log, without its end."""
    return json.dumps(record(number, **given), separators=(",", ":")).encode()
