"""How much of a body may go out while nobody knows yet whether it is good. No socket, no clock.

An upload is held whole. A download is held whole as long as it is short; past START bytes it goes out,
the last part held, at the pace that `delivery` sets, and never slower than keeps a Squid with Bug 5352
from stalling: that one stops reading a response after 65,535 bytes until the adapted one has begun (header
and at least a byte), and again unless it goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icapd.bodies import DeliveryOptions

START = 60_000  # bytes that have come when a download begins to go out; Squid stalls at 65,535
STEP = 16 * 1024  # for so many bytes more one byte goes out at least; Squid needs one for 32 KiB


@dataclass(frozen=True, slots=True)
class Pace:
    """`hold` in bytes, `rate` in bytes/s (0: unlimited), `delay` in s; `stalls`: the client has Bug 5352."""

    hold: int
    rate: int
    delay: float
    stalls: bool

    @classmethod
    def of(cls, options: DeliveryOptions, *, stalls: bool) -> Pace:
        """Return the pace that icapd.yaml sets."""
        return cls(options.hold, options.rate, options.delay, stalls)


class Delivery:
    """One body. All offsets count from its beginning; `now` is any clock that only goes forward."""

    __slots__ = ("_began", "_pace", "_whole", "freed", "received", "sent")

    def __init__(self, pace: Pace, *, whole: bool, now: float) -> None:
        """`whole`: nothing goes out before the verdict."""
        self._pace = pace
        self._whole = whole
        self._began = now
        self.received = 0
        self.sent = 0
        self.freed = False  # the verdict is there, and lets it pass

    def due(self, now: float) -> int:
        """Return up to which offset the body may be sent now."""
        received = self.received
        if self.freed:
            return received
        if self._whole or received < START:
            return self.sent
        pace = self._pace
        least = 1 + (received - START) // STEP if pace.stalls else 0
        age = now - self._began - pace.delay
        if age < 0:
            return max(least, self.sent)
        most = received - pace.hold
        if pace.rate:
            most = min(most, 1 + int(pace.rate * age))
        return max(least, most, self.sent)

    def left(self, now: float) -> int:
        """Return how many bytes may be sent now."""
        return self.due(now) - self.sent

    @property
    def is_done(self) -> bool:
        """Whether all that has come was sent."""
        return self.sent == self.received
