"""Connections that are kept, at most so many at a time; who finds all taken waits his turn."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Kept(Protocol):
    """A connection."""

    @property
    def alive(self) -> bool:
        """Whether it can be used (again)."""
        ...

    def end(self) -> None:
        """Close it at once."""


K = TypeVar("K", bound=Kept)


class Pool(Generic[K]):
    """At most `limit` connections of `connect` in use; unused ones are kept `idle` seconds.

    `clock` gives seconds that do not go back.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[K]], limit: int, idle: float, clock: Callable[[], float]
    ) -> None:
        self.busy = 0
        self._connect = connect
        self._limit = limit
        self._idle = idle
        self._clock = clock
        self._kept: list[tuple[float, K]] = []
        self._waiting: deque[Deferred[None]] = deque()

    async def take(self, *, fresh: bool = False) -> K:
        """Return a connection; `give` it back. Raises what `connect` raises.

        With `fresh` it is a new one, and those that are kept are closed: one of them had been broken.
        """
        if self.busy >= self._limit:
            turn: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(turn)
            await turn  # whoever gave his back left his place to us
        else:
            self.busy += 1
        try:
            self.sweep(all_of_them=fresh)
            while self._kept:
                _, connection = self._kept.pop()
                if connection.alive:
                    return connection
            return await self._connect()
        except BaseException:
            self._leave()
            raise

    def give(self, connection: K) -> None:
        """Take one back: it is kept if it is alive."""
        if connection.alive:
            self._kept.append((self._clock(), connection))
        self._leave()

    def sweep(self, *, all_of_them: bool = False) -> None:
        """Close what has not been used for long."""
        oldest = self._clock() - (0 if all_of_them else self._idle)
        while self._kept and self._kept[0][0] <= oldest:
            self._kept.pop(0)[1].end()

    def refuse(self, error: Exception) -> None:
        """Fail all who wait, and close what is kept."""
        waiting, self._waiting = self._waiting, deque()
        for turn in waiting:
            turn.errback(error)
        self.sweep(all_of_them=True)

    def _leave(self) -> None:
        if self._waiting:
            self._waiting.popleft().callback(None)
        else:
            self.busy -= 1
