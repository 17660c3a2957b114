"""Whether the numbers that are missing in a log are those that it tells of."""

from __future__ import annotations

from collections import Counter
from typing import Any


def check_gaps(found: list[dict[str, Any]]) -> Counter[str]:
    """Assert that what is missing of each source is counted to the number; return how many there are."""
    numbers: dict[str, list[int]] = {}
    lost, last = Counter[str](), Counter[str]()
    for record in found:
        if record.get("event") == "lost":
            lost[record["source"]] += record["count"]
            last[record["source"]] = max(last[record["source"]], record["before"] - 1)
        else:
            source = record["source"] if "event" in record else record["id"].partition("-")[0]
            numbers.setdefault(source, []).append(record["seq"])
    for source in numbers.keys() | lost.keys():
        seen = numbers.get(source, [])
        assert seen == sorted(set(seen))
        missing = set(range(1, max(last[source], *seen, 0) + 1)) - set(seen)
        assert len(missing) == lost[source]
    return lost
