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

    `unpacked` bytes may come out in all; `ratio` times the message may, once `spared` bytes came out.
    `members` count every part of every archive, `depth` is of containers and codings below the body,
    `codings` the layers of one Content-Encoding. `seconds` are of wall time.
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
    members: int = 0

    def output(self, size: int) -> None:
        """Count `size` bytes that came out of something."""
        self.unpacked += size
        self.clock()
        if self.unpacked > self.bounds.unpacked:
            raise LimitReached("unpacked size")
        if self.unpacked > max(self.bounds.spared, self.bounds.ratio * self.size):
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
        most = min(self.bounds.unpacked, max(self.bounds.spared, self.bounds.ratio * self.size))
        return max(0, most - self.unpacked)
