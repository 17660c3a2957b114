"""The numbers that a process counts: one list of integers, a fixed place for each.

The hot path adds to a place of the list and does nothing else; with workers the clock copies the list into
memory that outlives the worker. Below GAUGES a word only ever grows; from there on it is of now.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.verdicts import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

POINTS = ("reqmod", "respmod")
ACTIONS = ("allow", "bypass", "block", "redirect", "refuse", "error")
ALLOW, BYPASS, BLOCK, REDIRECT, REFUSE, ERROR = range(len(ACTIONS))
STATUSES = ("200", "204", "4xx", "5xx")
RESULTS = ("clean", "found", "error")
KINDS = tuple(Kind)
LIMITS = ("connections", "head", "body", "body_bytes", "scan", "spool", "unread", "drain")
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # s, of the histogram
GAUGE_NAMES = (
    "spool_memory", "spool_disk", "spool_waiting", "cache_entries", "cache_bytes",
    "children", "children_busy", "bodies_waiting",
)  # fmt: skip

TRANSACTIONS = 0  # by point and action
QUICK = TRANSACTIONS + len(POINTS) * len(ACTIONS)  # the same, of those answered in one pass
RESPONSES = QUICK + len(POINTS) * len(ACTIONS)  # by status; those of QUICK are not among them
UNANSWERED = RESPONSES + len(STATUSES)
OPTIONS = UNANSWERED + 1
RECEIVED = OPTIONS + 1  # bytes
SENT = RECEIVED + 1
CONNECTIONS = SENT + 1
STRANGERS = CONNECTIONS + 1  # connections of who is not in `peers`
PREVIEWS = STRANGERS + 1
CONTINUES = PREVIEWS + 1
LATE = CONTINUES + 1
HITS = LATE + 1
MISSES = HITS + 1
SHARED = MISSES + 1
EVICTED = SHARED + 1
CHILDREN_LATE = EVICTED + 1
CHILDREN_DIED = CHILDREN_LATE + 1
NO_CHILD = CHILDREN_DIED + 1
SCANS = NO_CHILD + 1  # by result, then the cached ones
FINDINGS = SCANS + 2 * len(RESULTS)  # by kind
LIMIT = FINDINGS + len(KINDS)
DURATIONS = LIMIT + len(LIMITS)  # one for each bound, one for what took longer, then microseconds in all
ADAPTERS = DURATIONS + len(BOUNDS) + 2
MAX_ADAPTERS = 16
_NAME = 8  # words of an adapter's name
_ROW = _NAME + len(RESULTS) + 1  # name, results, microseconds
GAUGES = ADAPTERS + MAX_ADAPTERS * _ROW
SIZE = GAUGES + len(GAUGE_NAMES)


@dataclass(frozen=True, slots=True)
class AdapterRow:
    """What one adapter was asked: `results` as RESULTS; `seconds` in all."""

    name: str
    results: tuple[int, ...]
    seconds: float


_PACKED = struct.Struct(f"={_NAME}Q")
_NOTHING = AdapterRow("", (0,) * len(RESULTS), 0.0)


def new_words() -> list[int]:
    """Return all zero."""
    return [0] * SIZE


def count_duration(words: list[int], seconds: float) -> None:
    """Put one duration into the histogram."""
    at = next((at for at, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))
    words[DURATIONS + at] += 1
    words[DURATIONS + len(BOUNDS) + 1] += int(seconds * 1e6)


def set_adapter(words: list[int], row: AdapterRow, before: Sequence[AdapterRow] = ()) -> None:
    """Write an adapter's row, on top of what it had `before`; nothing if there is no place left."""
    name = _packed(row.name)
    for at in range(ADAPTERS, GAUGES, _ROW):
        found = tuple(words[at : at + _NAME])
        if any(found) and found != name:
            continue
        old = next((one for one in before if _packed(one.name) == name), _NOTHING)
        results = (new + past for new, past in zip(row.results, old.results, strict=True))
        words[at : at + _ROW] = [*name, *results, round((row.seconds + old.seconds) * 1e6)]
        return


def adapters_of(words: Sequence[int]) -> Iterator[AdapterRow]:
    """Yield the rows of adapters."""
    for at in range(ADAPTERS, GAUGES, _ROW):
        name = _PACKED.pack(*words[at : at + _NAME]).rstrip(b"\0")
        if name:
            results = tuple(words[at + _NAME : at + _NAME + len(RESULTS)])
            yield AdapterRow(name.decode("utf-8", "replace"), results, words[at + _ROW - 1] / 1e6)


def total_of(several: Sequence[Sequence[int]]) -> list[int]:
    """Return the sum of the words of several processes; each has its own order of adapters."""
    if len(several) == 1:
        return list(several[0])
    total = [sum(column) for column in zip(*several, strict=True)] if several else new_words()
    total[ADAPTERS:GAUGES] = [0] * (GAUGES - ADAPTERS)
    rows: dict[str, AdapterRow] = {}
    for words in several:
        for row in adapters_of(words):
            old = rows.get(row.name, _NOTHING)
            results = tuple(new + past for new, past in zip(row.results, old.results, strict=True))
            rows[row.name] = AdapterRow(row.name, results, row.seconds + old.seconds)
    for row in rows.values():
        set_adapter(total, row)
    return total


def _packed(name: str) -> tuple[int, ...]:
    size = _PACKED.size
    return _PACKED.unpack(name.encode("utf-8", "replace")[:size].ljust(size, b"\0"))
