"""The decision log: numbers lines, writes them in batches, and tells how many of them are missing where.

Each life of a serving process is a `source`. It numbers its lines from 1; a number that is missing in the
log is counted in a later line, of the event `lost`.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from icapd.events.decisions import stamp

if TYPE_CHECKING:
    from collections.abc import Callable

_NEWLINE = 0x0A
_PIPE_PIECE = 4096  # PIPE_BUF: what a pipe that polls writable takes without waiting
_MAX_HELD = 1024 * 1024  # of lines a pipe has no room for: some 4000
_MAX_KEPT = 16 * 1024 * 1024  # of lines while the file is being copied
_FLUSH_BYTES = 64 * 1024  # one write of this size costs 20 µs; smaller ones add up
_UNREAD = "nobody reads"
# In a line of ours these bytes stand where they are looked for only: quotes inside values are escaped.
_NUMBER = re.compile(rb'"seq":([0-9]{1,19})\}\n')
_SOURCE = re.compile(rb'(?:"event":"[a-z-]+","source"|"id"):"([a-z0-9]{1,32})[-"]')
_IS_LOST = b'"event":"lost"'


class Log(Protocol):
    """Where a process puts its lines."""

    source: str
    """This life of the process: eight letters and digits, new each time."""

    @property
    def lost(self) -> int:
        """Lines that could not be written."""

    def append(self, line: str) -> None:
        """Take one line, open: it is numbered and closed here."""

    def flush(self) -> None:
        """Called by the clock."""


@dataclass(slots=True)
class _Gap:
    """Lines of one source that are missing; their numbers lie below `before`, 0 if that is not known."""

    count: int = 0
    before: int = 0


class Losses:
    """Lines that are missing and not yet told of, by their source and the reason."""

    def __init__(self) -> None:
        self._gaps: dict[tuple[str, str], _Gap] = {}

    def __bool__(self) -> bool:
        return bool(self._gaps)

    def add(self, source: str, why: str, count: int, before: int) -> None:
        """Note that `count` lines of `source` are missing."""
        gap = self._gaps.setdefault((source, why), _Gap())
        gap.count += count
        gap.before = max(gap.before, before)

    def drop(self, lines: bytes, why: str) -> int:
        """Note each of these lines, all of them written by icapd, as missing; return how many are records.

        Of a line that tells of others that are missing, those are noted again.
        """
        count = 0
        for line in lines.splitlines(keepends=True):
            if _IS_LOST in line:
                self._again(line)
                continue
            count += 1
            source, number = _SOURCE.search(line), _NUMBER.search(line)
            name = "" if source is None else source[1].decode("ascii")
            self.add(name, why, 1, 0 if number is None else int(number[1]) + 1)
        return count

    def _again(self, line: bytes) -> None:
        try:
            record = json.loads(line)
        except ValueError:  # it began in what a pipe has taken
            return
        self.add(record.get("source", ""), record["why"], record["count"], record.get("before", 0))

    def tell(self, now: float) -> bytes:
        """Return the lines that tell of all of them, which are forgotten."""
        lines = "".join(lost_line(now, *key, gap.count, gap.before) for key, gap in self._gaps.items())
        self._gaps = {}
        return lines.encode("ascii")


def lost_line(now: float, source: str, why: str, count: int, before: int) -> str:
    """Return the line, whole, that tells of `count` missing lines of a source, numbered below `before`."""
    of = f'"source":"{source}",' if source else ""
    below = f'"before":{before},' if before else ""
    return f'{{"time":"{stamp(now)}","event":"lost",{of}"count":{count},{below}"why":{json.dumps(why)}}}\n'


def policy_line(now: float, source: str, digest: str) -> str:
    """Return the line, open, that tells that `source` decides by the policy `digest` from now on."""
    return f'{{"time":"{stamp(now)}","event":"policy","source":"{source}","digest":"{digest}"'


def new_source() -> str:
    """Return a name that no other life of a process has, short enough to read out to a help desk."""
    return base64.b32encode(os.urandom(5)).decode("ascii").lower()


class DecisionLog:
    """Appends lines to a descriptor in batches; `flush` is called by the server's clock.

    Lines that cannot be written (disk full, nobody reads) are counted in `lost`, and in a line as soon as
    there is room; no answer ever waits.
    """

    def __init__(self, descriptor: int, clock: Callable[[], float] = time.time) -> None:  # noqa: TID251
        self.source = new_source()
        self._clock = clock
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._size = 0
        self._seq = 0
        self._rest = b""  # what a pipe had no room for
        self._torn = False  # the last line in the file is half a line
        self._room = _room_of(descriptor)
        self._held = False
        self._losses = Losses()
        self.lost = 0

    def append(self, line: str) -> None:
        """Take one line, open: it is numbered and closed here."""
        self._seq = seq = self._seq + 1
        self._lines.append(f'{line},"seq":{seq}}}\n')
        self._size += len(line)
        if self._size >= _FLUSH_BYTES:
            self.flush()

    def add(self, lines: str) -> None:
        """Take lines that others have numbered, whole."""
        self._lines.append(lines)
        self._size += len(lines)
        if self._size >= _FLUSH_BYTES:
            self.flush()

    def lose(self, source: str, why: str, count: int, before: int) -> None:
        """Tell of lines that got lost on the way here: `count` of `source`, with numbers below `before`."""
        self._losses.add(source, why, count, before)

    def move(self, descriptor: int) -> None:
        """Write to `descriptor`, which is closed, from now on: what has gathered still goes where it went."""
        if not self._held:
            self.flush()
        os.dup2(descriptor, self._descriptor, inheritable=False)
        os.close(descriptor)
        self._torn, self._room = False, _room_of(self._descriptor)
        self.release()

    def hold(self) -> None:
        """Keep what comes, up to some megabytes, until `release` or `move`: the file is being copied."""
        self._held = True

    def release(self) -> None:
        """Write again."""
        self._held = False
        self.flush()

    def flush(self) -> None:
        """Write what has gathered, as far as it can be written without waiting."""
        if not self._lines and not self._rest and not self._losses:
            return
        if self._held and self._size < _MAX_KEPT:
            return
        mend = b"\n" if self._torn else b""
        told = self._losses.tell(self._clock()) if self._losses else b""
        data = b"".join((mend, self._rest, told, "".join(self._lines).encode("ascii")))
        self._lines, self._size, self._rest = [], 0, b""
        at, failed = self._write(data)
        if failed:
            kept = at + data.startswith(b"\n", at)  # a line that lacks but its end is mended, not lost
            begun = max(data.rfind(b"\n", 0, kept) + 1, len(mend))
            self.lost += self._losses.drop(data[begun:], failed)
            if at:
                self._torn = data[at - 1] != _NEWLINE
            return
        self._torn = False
        end = len(data)
        if end - at > _MAX_HELD:
            end = data.rfind(b"\n", at, at + _MAX_HELD) + 1
            self.lost += self._losses.drop(data[end:], _UNREAD)
        self._rest = data[at:end]

    def end(self) -> None:
        """Flush for the last time: what still cannot be written is lost."""
        self.release()
        self.lost += self._rest.count(b"\n") - self._rest.count(_IS_LOST)
        self._rest = b""

    def _write(self, data: bytes) -> tuple[int, str]:
        """Write data; return how much was written, and why writing failed, if it did."""
        at = 0
        view = memoryview(data)
        piece = len(data) if self._room is None else _PIPE_PIECE
        try:
            while at < len(data) and (self._room is None or self._room.poll(0)):
                at += os.write(self._descriptor, view[at : at + piece])
        except BlockingIOError:
            pass
        except OSError as failure:
            return at, failure.strerror or "writing failed"
        return at, ""


def _room_of(descriptor: int) -> select.poll | None:
    """Return what tells whether there is room to write, None for a file: there always is."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    return room
