"""Coroutines of Twisted in a plain test: `run(lambda: scanners.scan(...))` returns what they return.

Each call runs the reactor in the test's own thread and takes it out again as trial does, by `crash`, so that
it can run the next time too; child processes and threads work as in `icapd serve`. For time that is not
to pass, give the code under test a `twisted.internet.task.Clock` instead.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
reactor: Any = _reactor
_THREADS = 10  # of deferToThread


def run(call: Callable[[], Awaitable[T]], seconds: float = 30.0) -> T:
    """Await `call()` on the reactor. Raises what it raises, and AssertionError when `seconds` have passed."""
    ended: list[Any] = []
    failed: list[BaseException] = []

    async def whole() -> None:
        try:
            ended.append(await call())
        except BaseException as error:  # noqa: BLE001  (raised again below, in the test)
            failed.append(error)
        reactor.callLater(0, reactor.crash)

    def late() -> None:
        failed.append(AssertionError(f"not done within {seconds} s"))
        reactor.crash()

    alarm = reactor.callLater(seconds, late)
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(whole()))
    before = signal.getsignal(signal.SIGINT)
    reactor.suggestThreadPoolSize(_THREADS)
    try:
        reactor.run()
    finally:
        reactor.suggestThreadPoolSize(0)  # its threads would keep the test run from ending
        signal.signal(signal.SIGINT, before)
        if alarm.active():
            alarm.cancel()
    if failed:
        raise failed[0]
    assert ended, "the reactor was stopped"
    result: T = ended[0]
    return result


def pause(seconds: float) -> Deferred[None]:
    """Let `seconds` pass while the reactor works."""
    return deferLater(reactor, seconds, lambda: None)


async def together(*awaitables: Awaitable[T]) -> list[T]:
    """Await all at once; return their results in order. Raises the first failure, when all have ended."""

    async def one(awaitable: Awaitable[T]) -> T:
        return await awaitable

    begun = [Deferred.fromCoroutine(one(each)) for each in awaitables]
    results: list[T] = []
    failed: list[BaseException] = []
    for each in begun:
        try:
            results.append(await each)
        except Exception as error:  # noqa: BLE001  (raised below)
            failed.append(error)
    if failed:
        raise failed[0]
    return results
