"""Where `icapd events` gets records from: the store and what of the log is not in it yet, or log files."""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from icapd.errors import IcapdError
from icapd.events.follow import Follower, Position
from icapd.events.gaps import Numbering
from icapd.events.search import Search, read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from icapd.events.formats import Record
    from icapd.events.store import Store

_POLL = 0.3  # s between two looks for more


class Reading:
    """Records that a search finds; `torn` counts the lines that were none."""

    def __init__(self, search: Search, limit: int | None = None) -> None:
        self.torn = 0
        self._search = search
        self._limit = limit

    def of_store(self, store: Store, log: Path, *, follow: bool) -> Iterator[Record]:
        """Yield those of the store, then those of the log that came after, for ever if `follow`."""
        position, last = store.snapshot()
        stored = store.found(self._search, limit=self._limit)
        found = (each.record for each in stored if each.n <= last)
        yield from self._growing(found, Follower(log, position), follow=follow)

    def of_logs(self, files: tuple[Path, ...], *, follow: bool) -> Iterator[Record]:
        """Yield those of log files in their order, and if `follow` what comes to the last of them."""
        if not follow:
            yield from self._limited(self._records(_lines(files)))
            return
        with _reading(files[-1]):
            status = files[-1].stat()
            follower = Follower(files[-1], Position(status.st_ino, 0, "", status.st_mtime_ns))
        yield from self._growing(self._records(_lines(files[:-1])), follower, follow=True)

    def _growing(self, found: Iterator[Record], follower: Follower, *, follow: bool) -> Iterator[Record]:
        """Yield what was found, then what the follower reads."""
        yield from self._limited(chain(found, self._records(_unread(follower))))
        while follow:
            time.sleep(_POLL)
            yield from self._records(_unread(follower))
        follower.close()

    def _records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        for record in read_records(line for line in lines if line):
            if record is None:
                self.torn += 1
            elif self._search.finds(record):
                yield record

    def _limited(self, records: Iterator[Record]) -> Iterable[Record]:
        return records if self._limit is None else deque(records, self._limit)


def numbers_of_store(store: Store, log: Path) -> Numbering:
    """Return the numbers of all records, of the store and of what of the log is not in it yet."""
    position, _ = store.snapshot()
    found = Numbering()
    for source, number in store.numbers():
        found.life(source).add(number)
    for record in store.search(Search(action="lost")):
        found.take(record)
    follower = Follower(log, position)
    _take(found, _unread(follower))
    follower.close()
    return found


def numbers_of_logs(files: tuple[Path, ...]) -> Numbering:
    """Return the numbers of all records in log files."""
    found = Numbering()
    _take(found, _lines(files))
    return found


def _take(found: Numbering, lines: Iterator[bytes]) -> None:
    for record in read_records(lines):
        if record is not None:
            found.take(record)


def _lines(files: Iterable[Path]) -> Iterator[bytes]:
    for file in files:
        with _reading(file), file.open("rb") as log:
            yield from log


def _unread(follower: Follower) -> Iterator[bytes]:
    """Yield the lines that are there now."""
    with _reading(follower.path):
        while lines := follower.read():
            yield from lines


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise IcapdError(f"{file}: cannot be read: {error.strerror}") from None
