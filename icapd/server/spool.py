"""Bodies as they arrive: in memory, then in a file without a name; one budget for all of them.

Nothing is ever left out: what finds no room, in the budget or on the disk, is kept aside, a read's worth
of a connection, and the connection waits (`Spools.waiting`) until there is room or its patience ends.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from collections.abc import Callable

    from icapd.bodies import SpoolOptions

_PREFIX = "icapd-body-"
_ABANDONED = 60.0  # s; a file has its name for less than one
_COPY = 1024 * 1024


class Spools:
    """The budget, and who waits for a share of it. Not for several threads."""

    def __init__(self, options: SpoolOptions) -> None:
        self.options = options
        self.memory = 0  # bytes in use
        self.disk = 0
        self._waiting: dict[Spool, Callable[[], None]] = {}
        self._serving = False

    def prepare(self) -> None:
        """See that bodies can be kept, and remove what a killed process left. Raises IcapdError."""
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

    __slots__ = ("_aside", "_file", "_hash", "_memory", "_on_disk", "_spools", "sha256", "size")

    def __init__(self, spools: Spools) -> None:
        self._spools = spools
        self._memory: bytearray | None = bytearray()
        self._file = -1
        self._on_disk = 0  # bytes taken of the disk's budget
        self._aside = b""
        self._hash = hashlib.sha256()
        self.size = 0  # bytes that have come, those aside among them
        self.sha256 = ""

    @property
    def settled(self) -> bool:
        """Whether all that has come has found its place."""
        return not self._aside

    def add(self, data: bytes) -> bool:
        """Take more of the body; False if it found no room, and nothing else should come until it has."""
        self.size += len(data)
        self._hash.update(data)
        self._aside = self._aside + data if self._aside else data
        return self.settle()

    def settle(self) -> bool:
        """Find a place for what is kept aside; False if there is none yet."""
        while self._aside:
            if self._memory is not None and not self._kept_in_memory(self._memory) and not self._moved():
                return False
            if self._aside and not self._written():
                return False
        return True

    def end(self) -> None:
        """Note that the body is whole."""
        self.sha256 = self._hash.hexdigest()

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        memory = self._memory
        placed = self.size - len(self._aside)
        if memory is not None:
            found = bytes(memoryview(memory)[offset : offset + size])
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
            _write_all(self._file, self._memory, 0)
            self._memory = None
        return self._file

    def close(self) -> None:
        """Let go of it; others may then have its room."""
        spools = self._spools
        in_memory = self._place() - self._on_disk
        self._aside = b""
        self._memory = bytearray()
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

    def _kept_in_memory(self, memory: bytearray) -> bool:
        spools, data = self._spools, self._aside
        options = spools.options
        if len(memory) + len(data) > options.body_memory or spools.memory + len(data) > options.memory:
            return False
        memory += data
        spools.memory += len(data)
        self._aside = b""
        return True

    def _moved(self) -> bool:
        """Move what is in memory to a file."""
        spools, memory = self._spools, self._memory
        assert memory is not None  # noqa: S101  # asked by the only caller
        if spools.disk + len(memory) > spools.options.disk:
            return False
        try:
            file = _nameless(spools.options.directory)
        except OSError:
            return False
        if not _write_all(file, memory, 0):
            os.close(file)
            return False
        self._file, self._memory, self._on_disk = file, None, len(memory)
        spools.memory -= len(memory)
        spools.disk += len(memory)
        return True

    def _written(self) -> bool:
        """Write to the file what the budget allows and the disk takes; False if not all of it."""
        spools, data = self._spools, self._aside
        if spools.disk + len(data) > spools.options.disk or not _write_all(self._file, data, self._place()):
            return False
        spools.disk += len(data)
        self._on_disk += len(data)
        self._aside = b""
        return True


def _write_all(file: int, data: bytes | bytearray, at: int) -> bool:
    """Write `data` at offset `at`; False where the disk takes no more, and then it counts as unwritten."""
    done = 0
    with memoryview(data) as view:
        try:
            while done < len(view):
                done += os.pwrite(file, view[done : done + _COPY], at + done)
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
