"""What a worker must not take with it when it dies: its decision lines, and what it has counted.

Memory that a worker shares with the supervisor: some counters, each written by one of them alone, and a ring
of lines. The worker publishes a line by moving the ring's head behind it, before the answer leaves; the
supervisor, who alone writes the log, takes what lies between tail and head. So the log has whole lines only,
and a worker that is killed loses no line of a transaction it has answered.
"""

from __future__ import annotations

import mmap
import os
import time
from array import array
from typing import TYPE_CHECKING

from icapd.events.log import lost_line, new_source
from icapd.metrics.words import GAUGES
from icapd.metrics.words import SIZE as _WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RING = 1 << 22  # bytes; a second of a worker at full load is some 6 MB, and half a ring calls the supervisor
_HEADER = 4096
SIZE = _HEADER + RING
_COUNTS = 64  # where icapd.metrics.words begin
_HEAD, _TAIL, _LOST, CLOSED, REQUESTS = range(5)
_SOURCE, _UNTOLD, _BEFORE = range(509, 512)
_BEHIND = "the log was behind"


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

    @property
    def untold(self) -> tuple[str, str, int, int] | None:
        """What a worker that has ended could not tell: its source, why, how many, below which number."""
        words = self.words
        count, words[_UNTOLD] = words[_UNTOLD], 0
        return (_name_of(words[_SOURCE]), _BEHIND, count, words[_BEFORE]) if count else None

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

    def __init__(
        self,
        ledger: Ledger,
        full: Callable[[], object],
        clock: Callable[[], float] = time.time,  # noqa: TID251
    ) -> None:
        self.source = new_source()
        self._clock = clock
        self._map = ledger._map  # noqa: SLF001  # two sides of one thing
        self._words = ledger.words
        self._words[_SOURCE] = int.from_bytes(self.source.encode("ascii"), "big")
        self._full = full
        self._called = False
        self._seq = 0
        self._head = self._words[_HEAD]  # ours alone to move
        self._easy = 0  # up to where there is room without a look at the tail

    @property
    def lost(self) -> int:
        """Lines that found no room."""
        return self._words[_LOST]

    def append(self, line: str) -> None:
        """Number, close and publish one line."""
        self._seq = seq = self._seq + 1
        data = f'{line},"seq":{seq}}}\n'.encode("ascii")
        head = self._head
        end = head + len(data)
        if end > self._easy:
            data = self._admitted(data)
            if not data:
                self._miss(seq)
                return
            end = head + len(data)
        at = head % RING + _HEADER
        stop = at + len(data)
        if stop <= SIZE:
            self._map[at:stop] = data
        else:
            self._wrap(at, data)
        self._words[_HEAD] = self._head = end

    def flush(self) -> None:
        """By the clock the supervisor may be called anew, and what is missing is told, if there is room."""
        self._called = False
        if self._words[_UNTOLD]:
            data = self._admitted(b"")
            self._wrap(self._head % RING + _HEADER, data)
            self._words[_HEAD] = self._head = self._head + len(data)

    def _wrap(self, at: int, data: bytes) -> None:
        """Write what may go on at the ring's begin."""
        cut = min(SIZE - at, len(data))
        self._map[at : at + cut] = data[:cut]
        self._map[_HEADER : _HEADER + len(data) - cut] = data[cut:]

    def _miss(self, seq: int) -> None:
        words = self._words
        words[_LOST] += 1
        words[_BEFORE] = seq + 1
        words[_UNTOLD] += 1

    def _admitted(self, data: bytes) -> bytes:
        """Look where the tail is; call the supervisor if half is used.

        Return data, with a line before it of what was missed, if anything; b"" if there is no room.
        """
        words = self._words
        tail, missed = words[_TAIL], words[_UNTOLD]
        self._easy = tail + RING // 2
        if missed:
            told = lost_line(self._clock(), self.source, _BEHIND, missed, words[_BEFORE])
            data = told.encode("ascii") + data
            self._easy = 0  # back here before the next line, whether this one finds room or not
        end = self._head + len(data)
        if end > tail + RING // 2 and (not self._called or end > tail + RING):
            self._called = True
            self._full()
        if end > tail + RING:
            return b""
        words[_UNTOLD] = 0
        return data


def _name_of(word: int) -> str:
    return word.to_bytes(8, "big").lstrip(b"\0").decode("ascii")


def make_ledger() -> Ledger:
    """Return a new one, in memory."""
    descriptor = os.memfd_create("icapd-ledger", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, SIZE)
    return Ledger(descriptor)
