"""The store as an output of the collector: how much it keeps, what becomes of one that is broken or gone."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.events.collector import OutputError, tell
from icapd.events.search import read_records
from icapd.events.store import BrokenStoreError, Store, StoreError, errors_of, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from icapd.events.follow import Position

STEP = 4000  # records removed at a time
_FREE = 1024  # unused pages that are kept for what comes
_GIVEN_BACK = 512  # pages at a time
_DAY = 86400.0
_TIDY = 600.0  # s between two looks for policies that no record is of
_KEPT = 64  # of the last processes, whatever they recorded
_SUFFIXES = ("", "-wal", "-shm")


class StoreOutput:
    """Keeps the records of the last `days`, in `megabytes` at most, and policies' texts from `policies`."""

    name = "store"
    at_end = False

    def __init__(
        self,
        path: str,
        *,
        days: float,
        megabytes: int,
        policies: str,
        clock: Callable[[], float] = time.time,  # noqa: TID251  # records have the clock's time
    ) -> None:
        self._path = Path(path)
        self._seconds = days * _DAY
        self._bytes = megabytes * 1024 * 1024
        self._policies = Path(policies)
        self._clock = clock
        self._store: Store | None = None
        self._file = (0, 0)
        self._tidied = 0.0

    def open(self) -> Position | None:
        """Open the store; a broken one is moved aside and another begun, with what the log still holds."""
        try:
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL, 0o640))
            try:
                self._store = open_store(self._path, readonly=False)
            except BrokenStoreError as error:
                self._move_aside(error)
                self._store = open_store(self._path, readonly=False)
        except StoreError as error:
            raise OutputError(_plainly(error)) from error
        self._file = self._identity()
        return self._store.position

    def take(self, lines: list[bytes], position: Position) -> None:
        """Add lines and their position in one transaction."""
        records = list(read_records(line for line in lines if line))
        found = [record for record in records if record is not None]
        with self._failing():
            self._opened().add(found, position, torn=len(records) - len(found))

    def rest(self) -> None:
        """Take in policies, and take leave of what is too old or too much: a step of it."""
        with self._failing(), errors_of(self._path):
            self._take_policies()
            self._trim()

    def close(self) -> None:
        """Close it."""
        store, self._store = self._store, None
        if store is not None:
            with suppress(StoreError):
                store.close()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Raise OutputError for the store's; a broken one is moved aside."""
        try:
            if self._identity() == self._file:
                yield
                return
        except StoreError as error:
            if self._identity() == self._file:
                if isinstance(error, BrokenStoreError):
                    self.close()
                    self._move_aside(error)
                raise OutputError(_plainly(error)) from error
        raise OutputError(f"{self._path} was removed or replaced; another is begun")

    def _move_aside(self, error: BrokenStoreError) -> None:
        stamp = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y%m%d-%H%M%S")
        aside = self._path.with_name(f"{self._path.name}.broken-{stamp}")
        for suffix in _SUFFIXES:
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).rename(f"{aside}{suffix}")
        tell("error", f"store: {error}: moved to {aside.name}; another is made of what the log still holds")

    def _opened(self) -> Store:
        if self._store is None:
            raise OutputError("it is not open")
        return self._store

    def _identity(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return 0, 0
        return status.st_dev, status.st_ino

    def _take_policies(self) -> None:
        store = self._opened()
        try:
            files = sorted(self._policies.glob("*.json"))
        except OSError:
            return
        for file in files:
            try:
                found = json.loads(file.read_bytes())
                texts = {str(name): str(text) for name, text in found.get("files", found).items()}
                moment = file.stat().st_mtime
            except (ValueError, AttributeError):
                tell("error", f"store: {file}: holds no policy")
                file.rename(file.with_suffix(".unread"))
                continue
            store.add_policy(file.stem, moment, texts)
            file.unlink()

    def _trim(self) -> None:
        store, now = self._opened(), self._clock()
        run = store.connection.execute
        oldest = now - self._seconds
        size, pages, free = (
            run(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
        )
        taken = (pages - free) * size
        if taken > self._bytes:
            first, last = run("SELECT ifnull(min(n), 0), ifnull(max(n), 0) FROM records").fetchone()
            share = 1 - self._bytes / taken
            self._remove(store, "n", 1, oldest, 1 + int((last - first) * share))
        elif run("SELECT 1 FROM records WHERE time < ? LIMIT 1", (oldest,)).fetchone():
            self._remove(store, "time", 0, oldest, STEP)
        elif free > _FREE:
            run(f"PRAGMA incremental_vacuum({_GIVEN_BACK})").fetchall()
        if abs(now - self._tidied) > _TIDY:
            self._tidied = now
            self._tidy(store)

    def _remove(self, store: Store, order: str, every: int, oldest: float, count: int) -> None:
        """Remove the first `count` records by `order`, STEP at most: of `every` time, or before `oldest`."""
        with store.transaction():
            gone = store.connection.execute(
                "DELETE FROM records WHERE n IN (SELECT n FROM records WHERE ? OR time < ?"  # noqa: S608
                f" ORDER BY {order} LIMIT {min(count, STEP)}) AND n < (SELECT max(n) FROM records)",
                (every, oldest),
            ).rowcount
            store.set_state("removed", int(str(store.state("removed") or 0)) + gone)

    def _tidy(self, store: Store) -> None:
        """Forget policies, and which process served them, that no record is of any more."""
        run = store.connection.execute
        (oldest,) = run("SELECT min(time) FROM records").fetchone()
        if oldest is None:
            return
        with store.transaction():
            run(
                "DELETE FROM serving WHERE last < ? AND at <= (SELECT max(at) FROM serving) - ?",
                (oldest, _KEPT),
            )
            run(
                "DELETE FROM policies WHERE time < ? AND digest NOT IN (SELECT digest FROM serving)",
                (oldest,),
            )


def _plainly(error: StoreError) -> str:
    """Return what people call SQLite's commonest failures."""
    text = str(error)
    return text.replace("database or disk is full", "the disk is full, or its quota is used up")
