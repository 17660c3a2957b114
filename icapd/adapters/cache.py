"""Verdicts remembered by content: bounded, of two lifetimes, and one scan for each key at a time.

What a key is made of is its maker's affair (icapd.adapters.scanners); here it is content, the facts that
matter beside it, and the tag of everything that judged it. The cache outlives a reload; entries of an older
tag do not outlive the next one.
"""

from __future__ import annotations

import enum
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from icapd.adapters.counts import ScanCounts
from icapd.options import CacheOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

__all__ = ["CacheOptions", "CacheStatistics", "Key", "VerdictCache", "Worth"]

V = TypeVar("V")

_TAGS = 2  # whose entries are kept: after a reload, messages of the old generation are still under way
_OVERHEAD = 400  # bytes of an entry beside its value: key, places in tables


class Key(NamedTuple):
    """What a verdict is of: `content` is a hash, `shape` what else decides, `tag` who judged and by what."""

    content: str
    shape: Hashable
    tag: str


class Worth(enum.Enum):
    """What a value is worth to the next who asks."""

    NOTHING = "nothing"  # an error, or no whole answer: never kept
    CLEAN = "clean"
    FOUND = "found"


@dataclass(slots=True)
class CacheStatistics:
    """Counts since start, but for `entries` and `bytes`, which are of now; `scans` is for who scans."""

    hits: int = 0
    misses: int = 0
    coalesced: int = 0
    evicted: int = 0
    entries: int = 0
    bytes: int = 0
    scans: ScanCounts = field(default_factory=ScanCounts)


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V
    expires: float
    size: int


@dataclass(slots=True, eq=False)
class _Asker(Generic[V]):
    """Who waits, and how he would scan: what he scans is his, and may be gone when he is."""

    answer: Deferred[V]
    scan: Callable[[], Awaitable[V]]


@dataclass(slots=True, eq=False)
class _Flight(Generic[V]):
    """A scan under way: the first asker's; the others wait for it."""

    askers: deque[_Asker[V]] = field(default_factory=deque)
    running: Deferred[V] | None = None


async def _run(scan: Callable[[], Awaitable[V]]) -> V:
    return await scan()


class VerdictCache(Generic[V]):
    """Values of V by key.

    `worth` says whether a value is kept and how long, `size` how many bytes it takes, about. `clock` gives
    seconds that do not go back. Not for use from threads.
    """

    def __init__(
        self,
        options: CacheOptions,
        clock: Callable[[], float],
        *,
        worth: Callable[[V], Worth],
        size: Callable[[V], int],
    ) -> None:
        self.statistics = CacheStatistics()
        self._clock = clock
        self._worth = worth
        self._size = size
        self._entries: OrderedDict[Key, _Entry[V]] = OrderedDict()
        self._flights: dict[Key, _Flight[V]] = {}
        self._tags: deque[str] = deque()
        self.adopt(options)

    def adopt(self, options: CacheOptions) -> None:
        """Take the options of a new configuration; what is too much by them goes at once."""
        self._options = options
        self._shrink()

    def find(self, key: Key) -> V | None:
        """Return what is known, None if nothing is; counts a hit, and nothing else."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        self.statistics.hits += 1
        return entry.value

    def ask(self, key: Key, scan: Callable[[], Awaitable[V]]) -> Deferred[V]:
        """Give what `scan` gives: remembered, or from the same scan for all who ask meanwhile.

        If a scan raises, all who wait for it get that, and the next who asks scans again. Who cancels
        what he got takes nothing from the others: if it was his scan, the next in line scans.
        """
        known = self.find(key)
        if known is not None:
            return succeed(known)
        flight = self._flights.get(key)
        if flight is None:
            self.statistics.misses += 1
            flight = self._flights[key] = _Flight()
        else:
            self.statistics.coalesced += 1
        answer: Deferred[V] = Deferred(lambda _: self._leave(key, flight, asker))
        asker = _Asker(answer, scan)
        flight.askers.append(asker)
        if len(flight.askers) == 1:
            self._lead(key, flight)
        return answer

    def _lead(self, key: Key, flight: _Flight[V]) -> None:
        """Begin the scan of the first in line."""
        running = flight.running = Deferred.fromCoroutine(_run(flight.askers[0].scan))

        def ended(result: V | Failure) -> None:
            if flight.running is running:  # otherwise its asker has left, and nobody wants its result
                self._land(key, flight, result)

        running.addBoth(ended)

    def _land(self, key: Key, flight: _Flight[V], result: V | Failure) -> None:
        """Keep what a scan gave, and tell all who wait for it."""
        del self._flights[key]
        askers = tuple(flight.askers)
        flight.askers.clear()
        if not isinstance(result, Failure):
            self._keep(key, result)
        for asker in askers:
            if not asker.answer.called:  # one told before him may have made him leave
                # The same Failure for all: who awaits it raises its exception.
                asker.answer.callback(result)

    def _leave(self, key: Key, flight: _Flight[V], asker: _Asker[V]) -> None:
        """Let one go who waits no more; Twisted tells him CancelledError."""
        if asker not in flight.askers:
            return
        led = flight.askers[0] is asker
        flight.askers.remove(asker)
        if not led:
            return
        running, flight.running = flight.running, None
        if running is not None:
            running.cancel()
        if flight.askers:
            self._lead(key, flight)
        else:
            del self._flights[key]

    def _keep(self, key: Key, value: V) -> None:
        worth = self._worth(value)
        if worth is Worth.NOTHING or not self._options.entries:
            return
        self._renew(key.tag)
        if key in self._entries:
            self._drop(key)
        lifetime = self._options.clean_ttl if worth is Worth.CLEAN else self._options.found_ttl
        size = _OVERHEAD + self._size(value)
        self._entries[key] = _Entry(value, self._clock() + lifetime, size)
        self.statistics.entries += 1
        self.statistics.bytes += size
        self._shrink()

    def _renew(self, tag: str) -> None:
        """Take note of a tag; with a new one, entries of all but it and the one before go."""
        if tag in self._tags:
            return
        self._tags.append(tag)
        if len(self._tags) > _TAGS:
            self._tags.popleft()
            for key in [key for key in self._entries if key.tag not in self._tags]:
                self._drop(key)

    def _shrink(self) -> None:
        """Drop what was not asked for longest, until the rest is within bounds."""
        while self.statistics.entries > self._options.entries or (
            self.statistics.bytes > self._options.megabytes << 20
        ):
            self._drop(next(iter(self._entries)))
            self.statistics.evicted += 1

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key)
        self.statistics.entries -= 1
        self.statistics.bytes -= entry.size
