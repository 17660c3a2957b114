"""A bound on how long a coroutine is waited for, whatever it does with being cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Late(Exception):  # noqa: N818
    """Time ran out."""


def within(
    reactor: Any,  # noqa: ANN401  (IReactorTime)
    seconds: float,
    call: Callable[[], Awaitable[T]],
    unwanted: Callable[[T], object] = lambda _: None,
) -> Deferred[T]:
    """Give what `call()` gives; fail with Late after `seconds`. Cancelled or late, `call()` is cancelled.

    `unwanted` gets a result that comes although nobody waits any more.
    """

    async def run() -> T:
        return await call()

    running = Deferred.fromCoroutine(run())
    if running.called:  # at once: nobody has to look at a clock
        return running
    result: Deferred[T] = Deferred(lambda _: running.cancel())

    def late() -> None:
        result.errback(Failure(Late(f"no answer within {seconds:g} s")))
        running.cancel()

    alarm = reactor.callLater(max(0.0, seconds), late)

    def ended(outcome: T | Failure) -> None:
        if alarm.active():
            alarm.cancel()
        if not result.called:
            result.callback(outcome)
        elif not isinstance(outcome, Failure):
            unwanted(outcome)

    running.addBoth(ended)
    return result
