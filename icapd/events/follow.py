"""Reads the decision log as it grows: whole lines, each once, through rotations and restarts.

A file is known by its first line, which no other log has, so it is found again under another name, as a copy
(copytruncate) or compressed. A position is that, and an offset at which a line begins. No clock, no waiting:
whoever follows asks again.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import zlib
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 512 * 1024  # bytes at a time: some 1500 lines
_HEAD = 256  # bytes of the first line: its time and its id
_MOST_HEADS = 1000  # more files than anybody keeps
_ROTATED = re.compile(r"[.-](\d[\d.-]*?)(\.gz)?")
_NO_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a log was read: to `offset` of the file whose first line has the digest `head`.

    `head` is "" for a file without a line yet, which its `inode` tells; `changed` is when the file was last
    written to as it was read (ns): if it is gone, what is newer is what was not read.
    """

    inode: int
    offset: int
    head: str
    changed: int

    def __str__(self) -> str:
        """Return what `read` reads."""
        return f"{self.inode}:{self.offset}:{self.head}:{self.changed}"

    @classmethod
    def read(cls, text: str) -> Position:
        """Read what `str` makes of one. Raises ValueError."""
        inode, offset, head, changed = text.split(":")
        return cls(int(inode), int(offset), head, int(changed))


@dataclass(frozen=True, slots=True)
class _Found:
    """A file that may be the log, or was it: with a first line."""

    path: Path
    inode: int
    head: str
    order: tuple[int, int]  # when it was last written to (ns), then how often it was rotated
    size: int

    @property
    def compressed(self) -> bool:
        return self.path.suffix == ".gz"


class _Open:
    """The file that is being read."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        """Raises OSError."""
        self._file: BinaryIO = path.open("rb", buffering=0)
        self.compressed = path.suffix == ".gz"
        self._stream: BinaryIO = gzip.GzipFile(fileobj=self._file) if self.compressed else self._file  # type: ignore[assignment]
        self.offset = offset
        self.head = _head_of(self._stream)
        self.cut = self.broken = False
        status = os.fstat(self._file.fileno())
        self.inode, self.changed = status.st_ino, status.st_mtime_ns

    def position(self) -> Position:
        return Position(self.inode, self.offset, self.head, self.changed)

    def lines(self) -> list[bytes]:
        """Return whole lines from here on, without their ends; none if there is none now."""
        data = self._next()
        if not self.compressed:
            status = os.fstat(self._file.fileno())
            self.changed = status.st_mtime_ns
            head = _head_of(self._stream)  # after the data: so they are of the file that has this head
            self.cut |= status.st_size < self.offset or (bool(self.head) and head != self.head)
            self.head = self.head or head
        if self.cut or not data:
            return []
        end = data.rfind(b"\n") + 1 or len(data) // CHUNK * CHUNK  # a line so long is none
        self.offset += end
        return data[:end].removesuffix(b"\n").split(b"\n") if end else []

    def is_at_line(self) -> bool:
        """Whether a line ends before here."""
        if self.compressed or not self.offset:
            return True
        self._stream.seek(self.offset - 1)
        return self._stream.read(1) == b"\n"

    def tail(self) -> list[bytes]:
        """Return what is left of a file that grows no more: half a line."""
        data = self._next()
        self.offset += len(data)
        return [data] if data else []

    def _next(self) -> bytes:
        if self.broken:
            return b""
        try:
            self._stream.seek(self.offset)
            return self._stream.read(CHUNK)
        except _NO_GZIP:
            self.broken = True
            return b""

    def close(self) -> None:
        self._file.close()


class Follower:
    """Follows the log at `path` from `position` on; without one from its oldest file, or from its end."""

    def __init__(self, path: Path, position: Position | None = None, *, at_end: bool = False) -> None:
        """`at_end`: without a position, what is there already is not read."""
        self.path = path
        self.notes: list[str] = []  # what could not be read; whoever tells of them, removes them
        self._position = position
        self._at_end = at_end
        self._file: _Open | None = None
        self._heads: dict[tuple[int, int, int], str] = {}

    @property
    def position(self) -> Position | None:
        """Where the lines end that were read; None before there was a file."""
        return self._position if self._file is None else self._file.position()

    def read(self) -> list[bytes]:
        """Return the next lines, of one file; none if there are none now. Raises OSError."""
        if self._file is None:
            self._file = self._begun()
        while self._file is not None:
            if lines := self._file.lines():
                return lines
            following = self._following(self._file)
            if following is None:
                return []
            # The log's writer is one process: now that there is a line in the next, none follows in this one.
            if not self._file.cut and (lines := self._file.lines() or self._file.tail()):
                return lines
            self._move(following)
        return []

    def behind(self) -> int:
        """Return how many bytes of the log are still to be read."""
        position = self.position
        files = self._files()
        at = _index(files, position) if position is not None else -1
        if position is not None and at < 0:
            files = [each for each in files if each.order[0] > position.changed]
        done = position.offset if position is not None and at >= 0 else 0
        return max(0, sum(each.size for each in files[max(at, 0) :]) - done)

    def close(self) -> None:
        """Let go of the file; `position` stays."""
        if self._file is not None:
            self._position = self._file.position()
            self._file.close()
            self._file = None

    def _begun(self) -> _Open | None:
        """Open the file that is to be read first; None if there is none yet."""
        files = self._files()
        position = self._position
        if position is None and self._at_end:
            return self._ended(max((each.order[0] for each in files), default=0))
        if position is None:
            return _Open(files[0].path) if files else None
        at = _index(files, position)
        if at >= 0:
            return self._resumed(files[at], position)
        newer = [each for each in files if each.order[0] > position.changed]
        if position.offset:
            self._told_gone(position)
        return _Open(newer[0].path) if newer else None

    def _ended(self, changed: int) -> _Open | None:
        """Open the log at the end of its last line; if it is not there yet, all of it is new."""
        try:
            file = _Open(self.path)
        except FileNotFoundError:
            self._position = Position(0, 0, "", changed)
            return None
        while file.lines():
            pass
        return file

    def _resumed(self, found: _Found, position: Position) -> _Open:
        file = _Open(found.path, position.offset)
        if (
            not file.is_at_line()
        ):  # the power failed before all was on the disk, and others were written since
            self.notes.append(f"{found.path}: lines that were read are gone from it; it is read anew")
            file.offset = 0
        return file

    def _following(self, current: _Open) -> _Found | None:
        """Return the file to go on with, None to go on with this one."""
        if not current.cut:
            with suppress(FileNotFoundError):
                if self.path.stat().st_ino == current.inode and not current.compressed:
                    return None
        files = self._files()
        at = _index(files, current.position())
        if at >= 0:
            same = files[at]
            if same.inode != current.inode and same.size > current.offset:
                return same  # a copy that has more
            rest = files[at + 1 :]
        else:
            rest = [each for each in files if each.order[0] > current.changed or each.path == self.path]
        return rest[0] if rest else None

    def _move(self, following: _Found) -> None:
        current = self._file
        if current is None:
            return
        same = following.head == current.head
        try:
            file = _Open(following.path, current.offset if same else 0)
        except OSError:
            return  # renamed meanwhile: it is looked for again
        if file.head != following.head:
            file.close()
            return
        if current.broken:
            self.notes.append(
                f"{self.path}: a compressed file ends at byte {current.offset}; what came after is lost"
            )
        if current.cut and not any(each.head == current.head for each in self._files()):
            self._told_cut(current)
        current.close()
        self._file = file

    def _told_gone(self, position: Position) -> None:
        self.notes.append(
            f"{self.path}: the file that was read to byte {position.offset} is gone; what followed is missing"
        )

    def _told_cut(self, current: _Open) -> None:
        self.notes.append(
            f"{self.path}: cut at byte {current.offset} or later, without a copy; lines may be missing"
        )

    def _files(self) -> list[_Found]:
        """Return the log's files that have a line, the oldest first; of two with the same lines one."""
        found: dict[str, _Found] = {}
        for path in self.path.parent.iterdir():
            each = self._looked_at(path.name)
            if each is None:
                continue
            other = found.get(each.head)
            if other is None or self._rank(each) < self._rank(other):
                found[each.head] = each
        return sorted(found.values(), key=lambda each: (each.path == self.path, each.order))

    def _rank(self, found: _Found) -> tuple[bool, int, bool]:
        """Which of the files with the same first line is read: the lowest."""
        return found.compressed, -found.size, found.path != self.path

    def _looked_at(self, name: str) -> _Found | None:
        rotated = _ROTATED.fullmatch(name, len(self.path.name)) if name.startswith(self.path.name) else None
        if rotated is None and name != self.path.name:
            return None
        path = self.path.with_name(name)
        try:
            status = path.stat()
            head = self._head(path, status) if stat.S_ISREG(status.st_mode) else ""
            size = _unpacked(path, status.st_size) if head else 0
        except (OSError, *_NO_GZIP) as error:
            if isinstance(error, PermissionError) and path == self.path:
                raise
            return None
        number = rotated[1] if rotated is not None else "0"
        times = -int(number) if number.isdigit() else 0
        return _Found(path, status.st_ino, head, (status.st_mtime_ns, times), size) if head else None

    def _head(self, path: Path, status: os.stat_result) -> str:
        key = (status.st_ino, status.st_mtime_ns, status.st_size)
        if key not in self._heads:
            with path.open("rb") as file:
                head = _head_of(gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file)
            if len(self._heads) > _MOST_HEADS:
                self._heads.clear()
            self._heads[key] = head
        return self._heads[key]


def _head_of(stream: BinaryIO | gzip.GzipFile) -> str:
    """Return the digest of the first line, "" if there is none yet."""
    stream.seek(0)
    start = stream.read(_HEAD)
    end = start.find(b"\n") + 1
    if not end and len(start) < _HEAD:
        return ""
    return blake2b(start[: end or _HEAD], digest_size=12).hexdigest()


def _unpacked(path: Path, size: int) -> int:
    if path.suffix != ".gz":
        return size
    with path.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(4), "little")  # ISIZE of RFC 1952, modulo 2**32


def _index(files: list[_Found], position: Position) -> int:
    """Return which of the files `position` is in, -1 for none."""
    for at, each in enumerate(files):
        if each.head == position.head or (not position.head and each.inode == position.inode):
            return at
    return -1
