"""Bodies as they arrive: in memory, then in a file without a name; one budget for all of them.

Nothing is ever left out: what finds no room, in the budget or on the disk, is kept aside, a read's worth
of a connection, and the connection waits (`Spools.waiting`) until there is room or its patience ends.

A body's `key` tells it from all others, in this process: Poly1305 under a secret, which costs a quarter of
SHA-256. As long as no key leaves the process, nobody can make two bodies with the same one: for a body of
L bytes the odds are below L in 2^107 (Bernstein, "The Poly1305-AES message-authentication code", 2005, §3).
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.poly1305 import Poly1305

from icapd.errors import IcapdError
from icapd.server.pieces import Pieces, keep_freed_memory, payload_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from icapd.bodies import SpoolOptions
    from icapd.server.pieces import Buffer

_PREFIX = "icapd-body-"
_ABANDONED = 60.0  # s; a file has its name for less than one
_COPY = 1024 * 1024
_VECTOR = 256  # pieces in one call: less than IOV_MAX


class Spools:
    """The budget, and who waits for a share of it. Not for several threads."""

    def __init__(self, options: SpoolOptions) -> None:
        self.options = options
        self.secret = secrets.token_bytes(32)  # keys are of this process alone, and nobody is told one
        self.memory = 0  # bytes in use
        self.disk = 0
        self._waiting: dict[Spool, Callable[[], None]] = {}
        self._serving = False

    def prepare(self) -> None:
        """See that bodies can be kept, and remove what a killed process left. Raises IcapdError."""
        keep_freed_memory()
        directory = self.options.directory
        try:
            for path in directory.glob(_PREFIX + "*"):
                _sweep(path)
            os.close(_nameless(directory))
        except OSError as error:
            why = error.strerror or str(error)
            raise IcapdError(f"spool.directory {directory}: no file can be made there: {why}") from None

    def open(self) -> Spool:
        """Return room for one body."""
        return Spool(self)

    @property
    def waiting(self) -> int:
        """How many bodies wait for room."""
        return len(self._waiting)

    def wait(self, spool: Spool, room: Callable[[], None]) -> None:
        """Have `room` called when what `spool` keeps aside has found its place."""
        self._waiting[spool] = room

    def serve(self) -> None:
        """Let those who wait go on, in order, while there is room: when some was made, and by the clock."""
        if self._serving:
            return
        self._serving = True
        try:
            for spool in tuple(self._waiting):
                room = self._waiting.get(spool)
                if room is None:
                    continue
                if not spool.settle():
                    break
                del self._waiting[spool]
                room()
        finally:
            self._serving = False

    def forget(self, spool: Spool) -> None:
        """It waits no more."""
        self._waiting.pop(spool, None)


class Spool:
    """One body (an adapters.model.Body once `end` was called). Close it, or its share is lost for good."""

    __slots__ = (
        *("_aside", "_file", "_mark", "_memory", "_on_disk", "_sha256", "_spools"),
        *("is_keyed", "key", "size"),
    )

    def __init__(self, spools: Spools) -> None:
        self._spools = spools
        self._memory: Pieces | None = Pieces()
        self._file = -1
        self._on_disk = 0  # bytes taken of the disk's budget
        self._aside = b""
        self._mark = Poly1305(spools.secret)
        self._sha256 = ""
        self.size = 0  # bytes that have come, those aside among them
        self.is_keyed = True  # False: nobody will ask for the key
        self.key = ""

    @property
    def settled(self) -> bool:
        """Whether all that has come has found its place."""
        return not self._aside

    @property
    def sha256(self) -> str:
        """The digest of what has come; asked for the first time, all of it is read."""
        if not self._sha256:
            found = hashlib.sha256()
            for piece in self._parts():
                found.update(piece)
            self._sha256 = found.hexdigest()
        return self._sha256

    def add(self, data: bytes) -> bool:
        """Take more of the body; False if it found no room, and nothing else should come until it has."""
        return self._take((data,), len(data))

    def add_run(self, wire: bytes, spans: Sequence[tuple[int, int]]) -> bool:
        """Take the payload at `spans` of chunked coding, as `add` does; `wire` may be kept."""
        return self._take(*payload_of(wire, spans))

    def _take(self, pieces: Sequence[Buffer], size: int) -> bool:
        self.size += size
        if self.is_keyed:
            update = self._mark.update
            for piece in pieces:
                update(piece)
        if not self._aside and self._fits(size):
            self._keep(pieces, size)
            return True
        self._aside = b"".join((self._aside, *pieces))
        return self.settle()

    def settle(self) -> bool:
        """Find a place for what is kept aside; False if there is none yet."""
        while self._aside:
            aside = self._aside
            if self._fits(len(aside)):
                self._keep((aside,), len(aside))
                self._aside = b""
            elif not (self._written() if self._memory is None else self._moved(self._memory)):
                return False
        return True

    def end(self) -> None:
        """Note that the body is whole."""
        self.key = f"{self._mark.finalize().hex()}-{self.size}" if self.is_keyed else ""

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        memory = self._memory
        placed = self._place()
        if memory is not None:
            found = memory.read(offset, size)
        else:
            found = os.pread(self._file, min(size, max(0, placed - offset)), offset)
        if len(found) < size and offset + size > placed and self._aside:
            start = max(0, offset - placed)
            found += self._aside[start : start + size - len(found)]
        return found

    def fileno(self) -> int:
        """Return a descriptor with the body from offset 0; the Spool's own, and gone when it is closed."""
        if self._memory is not None:  # from here on it is read from the descriptor: one copy, not two
            self._file = os.memfd_create("icapd-body", os.MFD_CLOEXEC)
            _write_all(self._file, self._memory.parts(), 0)
            self._memory = None
        return self._file

    def close(self) -> None:
        """Let go of it; others may then have its room."""
        spools = self._spools
        in_memory = self._place() - self._on_disk
        self._aside = b""
        self._memory = Pieces()
        self.size = 0
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        spools.disk -= self._on_disk
        spools.memory -= in_memory
        self._on_disk = 0
        spools.forget(self)
        spools.serve()

    def _place(self) -> int:
        return self.size - len(self._aside)

    def _parts(self) -> Iterator[Buffer]:
        if self._memory is not None:
            yield from self._memory.parts()
        else:
            placed = self._place()
            for at in range(0, placed, _COPY):
                yield os.pread(self._file, min(_COPY, placed - at), at)
        yield self._aside

    def _fits(self, size: int) -> bool:
        memory, spools = self._memory, self._spools
        options = spools.options
        return memory is not None and (
            memory.size + size <= options.body_memory and spools.memory + size <= options.memory
        )

    def _keep(self, pieces: Sequence[Buffer], size: int) -> None:
        memory = self._memory
        assert memory is not None  # noqa: S101  # _fits
        if len(pieces) == 1:
            memory.add(pieces[0])
        else:
            memory.extend(pieces, size)
        self._spools.memory += size

    def _moved(self, memory: Pieces) -> bool:
        """Move what is in memory to a file."""
        spools = self._spools
        if spools.disk + memory.size > spools.options.disk:
            return False
        try:
            file = _nameless(spools.options.directory)
        except OSError:
            return False
        if not _write_all(file, memory.parts(), 0):
            os.close(file)
            return False
        self._file, self._memory, self._on_disk = file, None, memory.size
        spools.memory -= memory.size
        spools.disk += memory.size
        return True

    def _written(self) -> bool:
        """Write to the file what the budget allows and the disk takes; False if not all of it."""
        spools, data = self._spools, self._aside
        if spools.disk + len(data) > spools.options.disk or not _write_all(
            self._file, (data,), self._place()
        ):
            return False
        spools.disk += len(data)
        self._on_disk += len(data)
        self._aside = b""
        return True


def _write_all(file: int, parts: Sequence[Buffer], at: int) -> bool:
    """Write `parts` from offset `at` on; False where the disk takes no more: then they count as unwritten."""
    try:
        for first in range(0, len(parts), _VECTOR):
            left = [memoryview(part) for part in parts[first : first + _VECTOR]]
            while left:
                wrote = os.pwritev(file, left, at)
                at += wrote
                while left and wrote >= len(left[0]):
                    wrote -= len(left.pop(0))
                if left:
                    left[0] = left[0][wrote:]
    except OSError:
        return False
    return True


def _nameless(directory: Path) -> int:
    """Open a new file that has no name, so that nothing of it outlives the process."""
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}:
            raise
    file, name = tempfile.mkstemp(prefix=_PREFIX, dir=directory)
    Path(name).unlink()
    return file


def _sweep(path: Path) -> None:
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > _ABANDONED:  # noqa: TID251  # files have the clock's time
            path.unlink()
