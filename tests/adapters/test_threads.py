"""Threads for what blocks: bounded, and never waited for."""

import threading
import time

import pytest
from twisted.internet.defer import CancelledError, Deferred

from icapd.adapters.threads import Threads
from tests.reactor import pause, run, together


def test_no_more_threads_than_allowed() -> None:
    threads = Threads(3, "test")
    running: set[str] = set()

    def work() -> int:
        running.add(str(threading.get_ident()))
        time.sleep(0.01)
        return threads.count

    counts = run(lambda: together(*(threads.call(work) for _ in range(20))))
    assert max(counts) == 3
    assert len(running) <= 3
    threads.stop()


def test_what_is_cancelled_is_not_begun_and_every_end_is_told_once() -> None:
    threads = Threads(1, "test")
    gate = threading.Event()
    begun: list[str] = []
    ended: list[str] = []

    async def whole() -> None:
        first: Deferred[bool] = threads.call(gate.wait, lambda: ended.append("first"))
        second: Deferred[None] = threads.call(lambda: begun.append("second"), lambda: ended.append("second"))
        second.addErrback(lambda failure: failure.trap(CancelledError))
        second.cancel()
        gate.set()
        assert await first
        await pause(0.05)

    run(whole)
    assert begun == []
    assert ended == ["first", "second"]
    threads.stop()


def test_exceptions_go_to_who_asked() -> None:
    threads = Threads(1, "test")
    with pytest.raises(ZeroDivisionError):
        run(lambda: threads.call(lambda: 1 / 0))
    threads.stop()
    with pytest.raises(CancelledError):
        run(lambda: threads.call(lambda: 1))
