"""What unpacking one message may cost: bytes that come out, their ratio, members, depth and time.

One Budget serves a whole message, however deep it goes: a bomb made of small bombs is one bomb.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

MIB = 1 << 20


class LimitReached(Exception):  # noqa: N818  (no error: a finding, and what came so far is scanned)
    """Unpacking has met a bound; its text says which."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds on unpacking one message: bytes, pieces and seconds.

    `unpacked` bytes may come out in all. Each stream may give `ratio` times what it is made of, and so may
    the whole message; what goes beyond, of all streams together, may be `spared` bytes. `members` count every
    part of every container, `depth` is of containers below the body, `codings` the layers of one
    Content-Encoding. `seconds` are of wall time.
    """

    unpacked: int = 400 * MIB
    ratio: int = 250
    spared: int = 16 * MIB
    members: int = 10_000
    depth: int = 16
    codings: int = 4
    seconds: float = 10.0


@dataclass(slots=True)
class Budget:
    """What is left of the bounds; `size` is the message's own, in bytes.

    Every method raises LimitReached once it is used up, and goes on raising.
    """

    bounds: Bounds
    size: int
    started: float = field(default_factory=time.monotonic)
    unpacked: int = 0
    excess: int = 0
    members: int = 0

    def output(self, size: int) -> None:
        """Count `size` bytes that came out of something."""
        self.unpacked += size
        self.clock()
        if self.unpacked > self.bounds.unpacked:
            raise LimitReached("unpacked size")
        if self.excess > self.bounds.spared or self.unpacked > self.bounds.spared + self._fair:
            raise LimitReached("ratio")

    def member(self) -> None:
        """Count one part of a container."""
        self.members += 1
        self.clock()
        if self.members > self.bounds.members:
            raise LimitReached("members")

    def descend(self, depth: int) -> None:
        """Allow content `depth` containers below the body."""
        if depth > self.bounds.depth:
            raise LimitReached("depth")

    def clock(self) -> None:
        """Look at the time; call it in every loop that hostile content drives."""
        if time.monotonic() - self.started > self.bounds.seconds:
            raise LimitReached("time")

    @property
    def room(self) -> int:
        """Bytes that may still come out: what to bound one step by."""
        return max(0, min(self.bounds.unpacked, self.bounds.spared + self._fair) - self.unpacked)

    @property
    def _fair(self) -> int:
        return self.bounds.ratio * self.size


@dataclass(slots=True)
class Stream:
    """One thing that is unpacked from `source` bytes: counts what comes out, here and in the budget."""

    budget: Budget
    source: int
    out: int = 0
    excess: int = 0

    def output(self, size: int, read: int | None = None) -> None:
        """Count `size` more bytes, made of the first `read` of the source as far as that is known.

        So a bomb shows as soon as it swells, however much follows it. Raises LimitReached.
        """
        fair = self.budget.bounds.ratio * (self.source if read is None else min(read, self.source))
        before = self.excess
        self.out += size
        self.excess = max(0, self.out - fair)
        self.budget.excess += self.excess - before
        self.budget.output(size)
