"""Threads for what blocks: a bounded number for each adapter, so that one that hangs takes only its own.

Not Twisted's pool: that one joins its threads at the end, and one that hangs in a scanner would keep the
process from ever ending.
"""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_Task = tuple["Callable[[], Any]", "Deferred[Any]", "Callable[[], object]"]
reactor: Any = _reactor

IDLE = 30.0  # seconds after which a thread without work ends


class Threads:
    """At most `limit` threads, begun when there is work; work beyond that waits for one in its order."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._work: deque[_Task] = deque()
        self._condition = threading.Condition()
        self._idle = 0
        self._stopped = False
        self.count = 0  # threads there are

    def call(self, work: Callable[[], T], ended: Callable[[], object] = lambda: None) -> Deferred[T]:
        """Run `work` in a thread. Cancelled, it is not begun any more; if it was, its result is dropped.

        `ended` is called once when `work` has ended, or will not be begun: then it reads nothing any more.
        """
        result: Deferred[T] = Deferred()
        with self._condition:
            if self._stopped:
                reactor.callLater(0, _deliver, result, Failure(CancelledError()), ended)
                return result
            self._work.append((work, result, ended))
            if self._idle >= len(self._work):
                self._condition.notify()
            elif self.count < self._limit:
                self.count += 1
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
        return result

    def stop(self) -> None:
        """Let threads end when what they do is done; nothing is waited for, what waits is not begun."""
        with self._condition:
            self._stopped = True
            left = tuple(self._work)
            self._work.clear()
            self._condition.notify_all()
        for _, result, ended in left:
            _deliver(result, Failure(CancelledError()), ended)

    def _run(self) -> None:
        while (task := self._next()) is not None:
            work, result, ended = task
            done: Any = None
            try:
                done = None if result.called else work()
            except BaseException:  # noqa: BLE001  (it goes to who asked)
                done = Failure()
            reactor.callFromThread(partial(_deliver, result, done, ended))
            del work, result, ended, task, done  # a hundred megabytes, perhaps, while it waits

    def _next(self) -> _Task | None:
        with self._condition:
            while not self._work and not self._stopped:
                self._idle += 1
                woken = self._condition.wait(IDLE)
                self._idle -= 1
                if not woken and not self._work:
                    break
            if self._work:
                return self._work.popleft()
            self.count -= 1
            return None


def _deliver(result: Deferred[Any], done: object, ended: Callable[[], object]) -> None:
    ended()
    if not result.called:
        result.callback(done)
