"""The event store: records of the decision log in SQLite, found by time, client, user, host, rule and id.

One process writes it (WAL: readers wait for nobody), in batches, and with each the position in the log that
it ends at, in the same transaction: so each record is in it once, whatever ends that process. Readers hold no
transaction for longer than some thousand rows take.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.errors import IcapdError
from icapd.events.follow import Position
from icapd.events.queries import grouped, numbers_of, where
from icapd.events.rows import COLUMNS, Moments, life_of, moment_of, record_of, row_of
from icapd.events.search import Search

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from icapd.events.formats import Record

VERSION = 1  # of the schema, PRAGMA user_version
APPLICATION = 0x69636170  # "icap": tells a store from other databases
_PAGE = 1000  # rows a reader takes at a time
_BUSY = 10.0  # s to wait for another's transaction
_WAL_KEPT = 16 * 1024 * 1024  # bytes of the journal that are not given back
_ALL = Search()
_NAMES = ", ".join(COLUMNS)
_INSERT = f"INSERT OR IGNORE INTO records({_NAMES}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608

_SCHEMA = """
CREATE TABLE records(
    n INTEGER PRIMARY KEY, time REAL, source TEXT, seq INTEGER, id TEXT, event TEXT, point TEXT, method TEXT,
    host TEXT, url TEXT, client TEXT, user TEXT, action TEXT, stage TEXT, rule TEXT, category TEXT,
    threat TEXT, status INTEGER, policy TEXT, json TEXT);
CREATE UNIQUE INDEX records_seq ON records(source, seq) WHERE seq IS NOT NULL;
CREATE INDEX records_time ON records(time);
CREATE INDEX records_id ON records(id);
CREATE INDEX records_client ON records(client) WHERE client IS NOT NULL;
CREATE INDEX records_host ON records(host);
CREATE INDEX records_user ON records(user) WHERE user IS NOT NULL;
CREATE INDEX records_action ON records(action) WHERE action <> 'allow';
CREATE INDEX records_rule ON records(rule) WHERE rule IS NOT NULL;
CREATE INDEX records_threat ON records(threat) WHERE threat IS NOT NULL;
CREATE INDEX records_event ON records(event) WHERE event IS NOT NULL;
CREATE TABLE policies(digest TEXT PRIMARY KEY, time REAL, files TEXT);
CREATE TABLE serving(at INTEGER PRIMARY KEY, source TEXT, digest TEXT, last REAL, UNIQUE(source, digest));
CREATE TABLE state(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""
MIGRATIONS = (_SCHEMA,)
"""MIGRATIONS[i] makes version i + 1 of version i."""


class StoreError(IcapdError):
    """The store cannot be opened, read or written."""


class BrokenStoreError(StoreError):
    """What the file holds is no sound database."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record, its number in the store, and the digest of the policy that was in force, if that is known."""

    n: int
    record: Record
    policy: str | None


def open_store(path: Path, *, readonly: bool = True) -> Store:
    """Open the store; for writing it is made if it is not there. Raises StoreError."""
    if readonly and not path.exists():
        raise StoreError(f"{path}: there is no event store")
    with errors_of(path):
        connection = _connected(path, readonly=readonly)
        try:
            _check(path, connection)
            if not readonly:
                _prepare(connection)
            return Store(path, connection)
        except BaseException:
            connection.close()
            raise


class Store:
    """An open store."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use `open_store`."""
        self.path = path
        self.connection = connection
        self._moments = Moments()
        served = connection.execute("SELECT source, digest FROM serving ORDER BY at")
        self._serving: dict[str, str] = dict(served.fetchall())
        self._position = self.state("position")

    # --- Writing ----------------------------------------------------------------------------

    @property
    def position(self) -> Position | None:
        """Where in the log the records end that are in the store."""
        return Position.read(str(self._position)) if self._position else None

    def add(self, records: Iterable[Record], position: Position | None, *, torn: int = 0) -> int:
        """Add records, all or none, and where they end; return how many were new.

        Those of a number (`seq`) that is there already are left out. `torn` lines were none. Raises
        StoreError, also if another process has added what comes here.
        """
        with errors_of(self.path), self.transaction():
            if self.state("position") != self._position:
                raise StoreError(f"{self.path}: another process writes to it")
            before = self.connection.total_changes
            seen: dict[str, float] = {}
            self.connection.executemany(_INSERT, [self._row(each, seen) for each in records])
            new = self.connection.total_changes - before
            for source, last in seen.items():
                self.connection.execute(
                    "UPDATE serving SET last = max(last, ?) WHERE source = ? AND digest = ?",
                    (last, source, self._serving.get(source)),
                )
            text = None if position is None else str(position)
            if text is not None:
                self.set_state("position", text)
            if torn:
                self.set_state("torn", int(str(self.state("torn") or 0)) + torn)
        self._position = text or self._position
        return new

    def _row(self, record: Record, seen: dict[str, float]) -> tuple[object, ...]:
        source = life_of(record)
        if record.get("event") == "policy" and source is not None:
            digest, since = str(record.get("digest")), moment_of(record.get("time")) or 0.0
            self._serving[source] = digest
            self.connection.execute(
                "INSERT OR REPLACE INTO serving(source, digest, last) VALUES (?, ?, ?)",
                (source, digest, since),
            )
        row = row_of(record, self._serving.get(source or ""), self._moments)
        if source in self._serving and row[0] is not None:
            seen[source] = max(seen.get(source, 0.0), float(str(row[0])))
        return row

    def add_policy(self, digest: str, time: float, files: dict[str, str]) -> None:
        """Keep the texts of a policy, loaded at `time`; of one that is known only that is new."""
        with errors_of(self.path), self.transaction():
            self.connection.execute(
                "INSERT INTO policies VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET time = excluded.time",
                (digest, time, json.dumps(files)),
            )

    def set_state(self, key: str, value: object) -> None:
        """Remember something between two runs."""
        self.connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all that is done within it, or nothing."""
        serving = dict(self._serving)
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            self._serving = serving
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close it."""
        with errors_of(self.path):
            self.connection.close()

    # --- Reading ----------------------------------------------------------------------------

    def state(self, key: str) -> object:
        """Return what was remembered, None for nothing."""
        found = self.connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if found is None else found[0]

    def search(self, search: Search = _ALL, *, limit: int | None = None, after: int = 0) -> Iterator[Record]:
        """Yield the records that `search` finds, in the log's order; of too many the last `limit`."""
        for each in self.found(search, limit=limit, after=after):
            yield each.record

    def found(self, search: Search = _ALL, *, limit: int | None = None, after: int = 0) -> Iterator[Stored]:
        """Yield what `search` finds, with its number; only numbers above `after`. Raises StoreError."""
        if limit is not None:
            yield from reversed(self._newest(search, limit, after))
            return
        with errors_of(self.path):
            condition, values = where(search, self.connection)
            rows = self.connection.execute(numbers_of(condition, newest=False), (*values, after))
            numbers = array("q")
            while page := rows.fetchmany(_PAGE):
                numbers.extend(n for (n,) in page)
        yield from self._read(numbers, search)

    def _newest(self, search: Search, limit: int, after: int) -> list[Stored]:
        """Return the last `limit` that `search` finds, the newest first."""
        found: list[Stored] = []
        with errors_of(self.path):
            condition, values = where(search, self.connection)
            rows = self.connection.execute(numbers_of(condition, newest=True), (*values, after))
            while len(found) < limit and (page := rows.fetchmany(min(limit, _PAGE))):
                found += self._read(array("q", (n for (n,) in page)), search)
            rows.close()
        return found[:limit]

    def _read(self, numbers: array[int], search: Search) -> Iterator[Stored]:
        """Yield the rows of these numbers that are still there, in their order."""
        for at in range(0, len(numbers), _PAGE):
            page = numbers[at : at + _PAGE]
            with errors_of(self.path):
                rows = self.connection.execute(
                    f"SELECT n, {_NAMES} FROM records WHERE n IN ({', '.join('?' * len(page))})",  # noqa: S608
                    page.tolist(),
                ).fetchall()
            found = {row[0]: row for row in rows}
            for n in page:
                if n in found:
                    record = record_of(found[n][1:], self._moments)
                    if search.finds(record):
                        yield Stored(n, record, found[n][18])

    def by_id(self, identity: str) -> list[Stored]:
        """Return what was recorded under a reference, in the log's order: the decision, then events."""
        return list(self.found(Search(id=identity)))

    def policy_text(self, digest: str) -> dict[str, str] | None:
        """Return the texts of a policy by the names of its files, None if they are not known."""
        with errors_of(self.path):
            found = self.connection.execute(
                "SELECT files FROM policies WHERE digest = ?", (digest,)
            ).fetchone()
        return None if found is None else json.loads(found[0])

    def counts(
        self, by: Sequence[str] = (), search: Search = _ALL, *, limit: int = 1_000_000
    ) -> list[tuple[object, ...]]:
        """Count what `search` finds by columns or spans (queries.GROUPS): (value, …, count), the most first.

        Lines that repeat a CONNECT ("again") do not count. Raises StoreError, and ValueError for what
        cannot be counted by.
        """
        with errors_of(self.path):
            condition, values = where(search, self.connection)
            return self.connection.execute(grouped(by, condition), (*values, limit)).fetchall()

    def snapshot(self) -> tuple[Position | None, int]:
        """Return where in the log the records end, and the number of the last, both of one moment."""
        with errors_of(self.path):
            self.connection.execute("BEGIN")
            try:
                text, last = self.state("position"), self.last()
            finally:
                self.connection.execute("COMMIT")
        return Position.read(str(text)) if text else None, last

    def numbers(self) -> Iterator[tuple[str, int]]:
        """Yield each process and number (`seq`) of its records, in their order."""
        rows = self.connection.execute(
            "SELECT source, seq FROM records INDEXED BY records_seq WHERE seq IS NOT NULL"
            " ORDER BY source, seq"
        )
        while True:
            with errors_of(self.path):
                page = rows.fetchmany(_PAGE)
            if not page:
                return
            yield from page

    def last(self) -> int:
        """Return the number of the newest record, 0 if there is none."""
        with errors_of(self.path):
            return int(self.connection.execute("SELECT ifnull(max(n), 0) FROM records").fetchone()[0])


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Raise StoreError for SQLite's errors."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise BrokenStoreError(f"{path}: {error}") from error


def _connected(path: Path, *, readonly: bool) -> sqlite3.Connection:
    name = path.absolute().as_uri()
    if not readonly:
        return sqlite3.connect(name, uri=True, timeout=_BUSY, isolation_level=None)
    connection = sqlite3.connect(f"{name}?mode=ro", uri=True, timeout=_BUSY, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # Who may not write beside it cannot make the journal's index; without a journal nobody needs one.
        connection.close()
        if path.with_name(f"{path.name}-wal").exists():
            raise
        return sqlite3.connect(f"{name}?immutable=1", uri=True, isolation_level=None)
    return connection


def _check(path: Path, connection: sqlite3.Connection) -> None:
    """Raise StoreError for what is no store, or one of a newer version."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION:
        raise StoreError(f"{path}: a database, but not an event store: set `events.store` to another file")
    if version > VERSION:
        raise StoreError(
            f"{path}: made by a newer icapd (version {version} of the store, this one knows {VERSION}): "
            "upgrade icapd, or set `events.store` to another file"
        )


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, or those that are new; set what each connection must."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT}")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number};"
            f" PRAGMA application_id = {APPLICATION}; COMMIT;"
        )
