"""The processes that inspect bodies: some, kept at work, replaced when they die, never in anybody's way."""

from __future__ import annotations

import os
import resource
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from icapd.adapters.child import Child, ChildDied, ChildLate
from icapd.adapters.counts import ScanCounts
from icapd.content.model import Item, Report
from icapd.content.shortcut import short_report
from icapd.content.store import Store
from icapd.policy.filetypes import FAR, sniff
from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from icapd.adapters.model import Body
    from icapd.content.model import Shape
    from icapd.options import ContentSettings

BY = "content"
MAX_DEATHS = 2  # of children by one body; it is not tried again
REMEMBERED = 10_000  # bodies that killed a child
BODIES = 2000  # that one process inspects before another takes its place: what leaks in libraries ends
_BACKOFF = (0.05, 5.0)  # s before the next start, when one child after the other dies before it is ready
_MOST_OPEN = 1 << 19  # descriptors of all reports, where the system has no bound
_BOUNDS = ("unpacked", "ratio", "spared", "members", "depth", "codings", "seconds")


@dataclass(frozen=True, slots=True)
class _Counted(Report):
    """A report whose end is told."""

    closed: Callable[[], None] = field(kw_only=True, compare=False, repr=False)

    def close(self) -> None:
        """Close the descriptors, and say so."""
        Report.close(self)
        self.closed()


class _Busy(Exception):  # noqa: N818
    """No child became free in time."""


class Children:
    """A bounded pool of child processes, and the queue before it."""

    _log = Logger()

    def __init__(
        self,
        settings: ContentSettings,
        reactor: Any = None,  # noqa: ANN401
        counts: ScanCounts | None = None,
        *,
        md5: bool = True,
    ) -> None:
        """`md5`: whether anybody may ask for that digest of items."""
        if reactor is None:
            from twisted.internet import reactor  # noqa: PLC0415
        self._reactor = reactor
        self._settings, self._md5 = settings, md5
        self._counts = ScanCounts() if counts is None else counts
        self._count = settings.children or os.cpu_count() or 1
        self._order = {
            "bounds": {name: getattr(settings, name) for name in _BOUNDS},
            "memory": settings.memory,
            "md5": md5,
            "directory": None if settings.directory is None else str(settings.directory),
        }
        self._all: set[Child] = set()
        self._free: list[Child] = []
        self._waiting: deque[Deferred[Child]] = deque()
        self._deaths: OrderedDict[str, int] = OrderedDict()
        self._starting: set[IDelayedCall] = set()
        self._delay = 0.0
        self._open = 0  # descriptors of all reports that are not closed yet
        self._most = 0
        self._stopped: Deferred[None] | None = None

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes there are."""
        return tuple(sorted(child.pid for child in self._all))

    @property
    def load(self) -> tuple[int, int, int]:
        """How many processes there are, how many are at work or starting, how many bodies wait for one."""
        return len(self._all), len(self._all) - len(self._free), len(self._waiting)

    async def start(self) -> None:
        """Start the processes; bodies may come at once.

        Reports hold a descriptor for each item, so this process takes as many as the system lets it.
        """
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._most = hard // 2 if hard != resource.RLIM_INFINITY else _MOST_OPEN
        for _ in range(self._count):
            self._spawn()

    async def stop(self) -> None:
        """End all processes; bodies under way get their findings."""
        self._stopped = Deferred()
        for call in self._starting:
            call.cancel()
        self._starting.clear()
        while self._waiting:
            self._waiting.popleft().errback(_Busy())
        if not self._all:
            return
        for child in tuple(self._all):
            child.kill()
        await self._stopped

    async def inspect(self, shape: Shape, body: Body) -> Report:
        """Return what is inside a body. Never fails: death is a finding, and so is time that ran out.

        Who asked closes the report. Cancelled, it leaves nothing behind.
        """
        if body.size > self._settings.max_body:
            text = f"{body.size} bytes; {self._settings.max_body} are inspected"
            return Report((), (Finding(Kind.TOO_LARGE, text, BY),))
        if self._deaths.get(body.key, 0) >= MAX_DEATHS:
            return await self._uninspected(Kind.UNSCANNABLE, "ended its inspection before", body)
        report = short_report(shape, body, md5=self._md5)
        if report is not None:
            return report
        try:
            child = await self._one()
            return self._counted(await child.ask(shape, body))
        except _Busy:
            self._counts.busy += 1
            kind, threat = Kind.UNSCANNABLE, "no process was free to inspect it"
        except ChildLate:
            self._counts.late += 1
            kind, threat = Kind.LIMIT, "time"
            self._remember(body.key)
        except ChildDied:
            self._counts.died += 1
            kind, threat = Kind.UNSCANNABLE, "its inspection ended unexpectedly"
            self._remember(body.key)
        return await self._uninspected(kind, threat, body)

    def _counted(self, report: Report) -> Report:
        """Return a report that counts its descriptors as long as it has them."""
        count = len(report.items)
        self._open += count

        def closed() -> None:
            self._open -= count

        return _Counted(report.items, report.findings, report.sha256, closed=closed)

    async def _uninspected(self, kind: Kind, threat: str, body: Body) -> Report:
        """Return a report of the body as it came, for scanners that can make more of it."""
        fd = os.dup(body.fileno())
        piece = await deferToThread(Store(md5=self._md5).piece_of, fd, body.size)
        types = sniff(body.read(0, FAR))
        item = Item("", 0, piece.size, fd, piece.md5, piece.sha256, types)
        return Report((item,), (Finding(kind, threat, BY),), piece.sha256)

    def _remember(self, key: str) -> None:
        self._deaths[key] = self._deaths.pop(key, 0) + 1
        while len(self._deaths) > REMEMBERED:
            self._deaths.popitem(last=False)

    # --- The pool --------------------------------------------------------------------------

    def _one(self) -> Deferred[Child]:
        """Return a child that is free, now or later.

        Fails with _Busy if too many wait, or for too long, or if reports hold too many descriptors.
        """
        waiter: Deferred[Child] = Deferred(self._waiting.remove)
        if self._open > self._most:
            waiter.errback(_Busy())
        elif self._free:
            waiter.callback(self._free.pop())
        elif self._stopped is not None or len(self._waiting) >= self._settings.waiting:
            waiter.errback(_Busy())
        else:
            self._waiting.append(waiter)
            late = self._reactor.callLater(2 * self._settings.seconds, self._give_up, waiter)

            def done(result: object) -> object:
                if late.active():
                    late.cancel()
                return result

            waiter.addBoth(done)
        return waiter

    def _give_up(self, waiter: Deferred[Child]) -> None:
        self._waiting.remove(waiter)
        waiter.errback(_Busy())

    def _spawn(self) -> None:
        try:
            self._all.add(Child(self._reactor, self._order, self._idle, self._lost))
        except OSError as error:
            self._log.error("cannot start a process to inspect bodies: {error}", error=error)
            self._later()

    def _later(self) -> None:
        """Start another process, the later the more often it went wrong."""
        first, most = _BACKOFF
        self._delay = min(most, max(first, 2 * self._delay))

        def start() -> None:
            self._starting.discard(call)
            self._spawn()

        call = self._reactor.callLater(self._delay, start)
        self._starting.add(call)

    def _idle(self, child: Child) -> None:
        self._delay = 0.0
        if child.bodies >= BODIES:
            child.retire()
        elif self._waiting:
            self._waiting.popleft().callback(child)
        else:
            self._free.append(child)

    def _lost(self, child: Child) -> None:
        self._all.discard(child)
        if child in self._free:
            self._free.remove(child)
        if self._stopped is not None:
            if not self._all and not self._stopped.called:
                self._stopped.callback(None)
        elif child.is_ready:
            self._spawn()
        else:
            self._later()
