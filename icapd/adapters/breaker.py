"""A circuit breaker: who fails again and again is not asked until it answers a probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class _Call(Protocol):
    def active(self) -> bool: ...
    def cancel(self) -> None: ...


class Later(Protocol):
    """The reactor, or a clock of a test."""

    def callLater(self, delay: float, call: Callable[[], object], /) -> _Call:  # noqa: N802
        """Call after so many seconds."""
        ...


class Breaker:
    """Opens after `failures` in a row, or when a probe fails; closes when one is answered.

    `probe` raises if there is no answer, which it must find out by itself in a time of its own. It is asked
    every `often` seconds while the breaker is open. `told` hears why it has opened, None when it has closed.
    """

    def __init__(
        self,
        probe: Callable[[], Awaitable[None]],
        told: Callable[[str | None], None],
        later: Later,
        *,
        failures: int = 3,
        often: float = 1.0,
    ) -> None:
        self.why = ""
        self._probe = probe
        self._told = told
        self._later = later
        self._failures = failures
        self._often = often
        self._in_a_row = 0
        self._goods = 0
        self._call: _Call | None = None
        self._probing: Deferred[None] | None = None
        self._stopped = False

    @property
    def is_open(self) -> bool:
        """Whether nothing is to be asked now; `why` says why."""
        return bool(self.why)

    def good(self) -> None:
        """Count an answer."""
        self._in_a_row = 0
        self._goods += 1

    def bad(self, why: str) -> None:
        """Count a failure."""
        self._in_a_row += 1
        if self._in_a_row >= self._failures:
            self._open(why)

    def suspect(self) -> Deferred[None]:
        """Probe at once; when it has ended, the breaker is open if there was no answer, to anything."""
        waiting: Deferred[None] = Deferred()
        probing = self._probing or Deferred.fromCoroutine(self._look())
        if not probing.called:
            self._probing = probing
        probing.addCallback(waiting.callback)
        return waiting

    def stop(self) -> None:
        """Probe no more."""
        self._stopped = True
        if self._call is not None and self._call.active():
            self._call.cancel()
        if self._probing is not None:
            self._probing.cancel()

    async def _look(self) -> None:
        goods = self._goods
        try:
            await self._probe()
        except Exception as error:  # noqa: BLE001  (whatever it is, it is no answer)
            why = str(error) or type(error).__name__
        else:
            why = ""
        self._probing = None
        if self._stopped:
            return
        if why and (self.is_open or goods == self._goods):
            self._open(why)
        elif not why:
            self._close()

    def _open(self, why: str) -> None:
        opens, self.why = not self.why, why
        if self._call is None or not self._call.active():
            self._call = self._later.callLater(self._often, self.suspect)
        if opens:
            self._told(why)

    def _close(self) -> None:
        was_open, self.why = self.is_open, ""
        self._in_a_row = 0
        if self._call is not None and self._call.active():
            self._call.cancel()
        if was_open:
            self._told(None)
