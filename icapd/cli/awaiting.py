"""Coroutines of Twisted in a command: run on the reactor, which lasts as long as they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_T = TypeVar("_T")


def await_on_reactor(call: Callable[[], Awaitable[_T]]) -> _T:
    """Await on the reactor, once in a process. Raises what the coroutine raises; an interrupt ends it."""
    from twisted.internet import reactor as found  # noqa: PLC0415  (other commands need not pay for it)
    from twisted.internet.defer import Deferred  # noqa: PLC0415

    reactor = cast("Any", found)
    ended: list[_T] = []
    failed: list[BaseException] = []

    async def whole() -> None:
        try:
            ended.append(await call())
        except BaseException as error:  # noqa: BLE001  (raised again below)
            failed.append(error)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(whole()))
    reactor.run()
    if failed:
        raise failed[0]
    if not ended:
        raise IcapdError("interrupted")
    return ended[0]
