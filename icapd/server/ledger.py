"""What a worker must not take with it when it dies: its decision lines, and what it has counted.

Memory that a worker shares with the supervisor: some counters, each written by one of them alone, and a ring
of lines. The worker publishes a line by moving the ring's head behind it, before the answer leaves; the
supervisor, who alone writes the log, takes what lies between tail and head. So the log has whole lines only,
and a worker that is killed loses no line of a transaction it has answered.
"""

from __future__ import annotations

import mmap
import os
from array import array
from typing import TYPE_CHECKING

from icapd.metrics.words import GAUGES
from icapd.metrics.words import SIZE as _WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RING = 1 << 22  # bytes; a second of a worker at full load is some 6 MB, and half a ring calls the supervisor
_HEADER = 4096
SIZE = _HEADER + RING
_COUNTS = 64  # where icapd.metrics.words begin
_HEAD, _TAIL, _LOST, CLOSED, REQUESTS = range(5)


class Ledger:
    """One worker's memory; `descriptor` is of `make_ledger` and stays open."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, SIZE)
        self.words = memoryview(self._map)[:_HEADER].cast("Q")
        """Counters; CLOSED and REQUESTS are indices. One 8-byte store each, so never half written."""

    @property
    def closed(self) -> int:
        """Connections that have ended, of those that were handed to the worker."""
        return self.words[CLOSED]

    @property
    def requests(self) -> int:
        """Decisions, of all the worker's lives."""
        return self.words[REQUESTS]

    @property
    def lost(self) -> int:
        """Lines that found no room."""
        return self.words[_LOST]

    def counts(self) -> list[int]:
        """Return what the worker has counted, and those before it in its place."""
        return self.words[_COUNTS : _COUNTS + _WORDS].tolist()

    def publish(self, counts: Sequence[int]) -> None:
        """Have it outlive the worker; only the worker calls it."""
        self.words[_COUNTS : _COUNTS + _WORDS] = memoryview(array("Q", counts))

    def quiet(self) -> None:
        """The worker is gone: what is of the moment is nothing."""
        self.words[_COUNTS + GAUGES : _COUNTS + _WORDS] = memoryview(array("Q", [0] * (_WORDS - GAUGES)))

    def take(self) -> bytes:
        """Return the lines that have come, and make room. Only the supervisor calls it."""
        words = self.words
        head, tail = words[_HEAD], words[_TAIL]
        if head == tail:
            return b""
        first, last = tail % RING, head % RING
        if first < last:
            data = self._map[_HEADER + first : _HEADER + last]
        else:
            data = self._map[_HEADER + first : SIZE] + self._map[_HEADER : _HEADER + last]
        words[_TAIL] = head
        return data


class LedgerLog:
    """What a worker has in place of a DecisionLog; `full` is called when the supervisor should hurry."""

    def __init__(self, ledger: Ledger, full: Callable[[], object]) -> None:
        self._map = ledger._map  # noqa: SLF001  # two sides of one thing
        self._words = ledger.words
        self._full = full
        self._called = False
        self._head = self._words[_HEAD]  # ours alone to move
        self._easy = 0  # up to where there is room without a look at the tail

    @property
    def lost(self) -> int:
        """Lines that found no room."""
        return self._words[_LOST]

    def append(self, line: str) -> None:
        """Publish one line, newline included."""
        data = line.encode("ascii")
        head = self._head
        end = head + len(data)
        if end > self._easy and not self._has_room(end):
            return
        at = head % RING + _HEADER
        stop = at + len(data)
        if stop <= SIZE:
            self._map[at:stop] = data
        else:
            cut = SIZE - at
            self._map[at:SIZE] = data[:cut]
            self._map[_HEADER : _HEADER + stop - SIZE] = data[cut:]
        self._words[_HEAD] = self._head = end

    def flush(self) -> None:
        """There is nothing to hold back; by the clock the supervisor may be called anew."""
        self._called = False

    def end(self) -> None:
        """Nothing to do: the supervisor takes what there is."""

    def _has_room(self, end: int) -> bool:
        """Look where the tail is; call the supervisor if half is used; count a line that finds no room."""
        tail = self._words[_TAIL]
        self._easy = tail + RING // 2
        if end <= self._easy:
            return True
        if not self._called or end > tail + RING:
            self._called = True
            self._full()
        if end <= tail + RING:
            return True
        self._words[_LOST] += 1
        return False


def make_ledger() -> Ledger:
    """Return a new one, in memory."""
    descriptor = os.memfd_create("icapd-ledger", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, SIZE)
    return Ledger(descriptor)
