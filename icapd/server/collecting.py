"""The collector, the process that follows the decision log: started, replaced when it ends, and ended last.

It is told what to do by its standard input, and ends when that is closed: also when this process is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from icapd.events.collector import END
from icapd.metrics.snapshot import CollectorFacts, OutputFacts
from icapd.recording import policies_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from icapd.config import Config

_START = "import sys; sys.path[:] = sys.argv[1:]; from icapd.events.collector import main; main()"
_BACKOFF = (0.1, 10.0)  # s before the next start, doubled with each that ended soon
_STEADY = 1.0  # s after which one did not end soon
_GRACE = 1.0  # s beyond END
_MAX_REPORT = 65536  # bytes
_log = Logger(namespace="icapd")


def order_of(config: Config) -> dict[str, Any] | None:
    """Return what the collector is to do (as `icapd.events.collector` reads it), None if nothing."""
    log, events = config.decisions, config.events
    if log is None or (log.exists() and not log.is_file()):
        return None
    store = events.store_file(log)
    if store is None and not events.syslog:
        return None
    kept = store and {
        "path": str(store),
        "days": events.days,
        "megabytes": events.megabytes,
        "policies": str(policies_directory(store)),
    }
    syslog = [each.model_dump(mode="json", warnings=False) for each in events.syslog]
    return {"log": str(log), "store": kept, "syslog": syslog}


def start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start a collector; its standard input stays open as long as it is to work. Raises OSError."""
    command = [sys.executable, "-c", _START, *filter(None, sys.path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603  # ourselves
    stream = cast("Any", process.stdin)
    with suppress(BrokenPipeError):  # it has ended already, which is noticed
        stream.write(json.dumps(order).encode() + b"\n")
        stream.flush()
    return process


class Collecting:
    """The collector of this icapd, if its configuration has any use for one."""

    def __init__(
        self,
        reactor: Any,  # noqa: ANN401
        start: Callable[[dict[str, Any]], subprocess.Popen[bytes]] = start,
    ) -> None:
        self.restarts = 0
        self._reactor = reactor
        self._start = start
        self._first: Config | None = None
        self._order: dict[str, Any] | None = None
        self._link: _Link | None = None
        self._later: Any = None
        self._delay = _BACKOFF[0]
        self._ended = False

    def serve(self, config: Config) -> None:
        """Have done what `config` says, from now on; the decision log stays that of the first one."""
        if self._first is None:
            self._first = config
        order = order_of(config.model_copy(update={"decisions": self._first.decisions}))
        if order == self._order or self._ended:
            return
        self._order = order
        self._delay = _BACKOFF[0]
        if self._link is not None:
            self._link.let_go()  # another starts when this one has come to its end
        elif self._later is None:
            self._begin()

    def facts(self) -> CollectorFacts | None:
        """Return what the metrics tell of it; None if there is nothing for it to do."""
        if self._order is None:
            return None
        told = self._link.report if self._link else []
        return CollectorFacts(self._link is not None, self.restarts, tuple(map(OutputFacts.of, told)))

    def pids(self) -> dict[int, str]:
        """Return its process id, if it runs, with what the metrics call it."""
        return {self._link.pid: "collector"} if self._link else {}

    def status(self) -> dict[str, object]:
        """Return its process, how often it was started anew, and what it tells of its outputs."""
        link = self._link
        return {
            "pid": link.pid if link else 0,
            "restarts": self.restarts,
            "outputs": link.report if link else [],
        }

    def end(self) -> None:
        """The last line is written: wait until it is taken too, but no longer than END and a bit."""
        self._ended = True
        if self._later is not None and self._later.active():
            self._later.cancel()
        link, self._link = self._link, None
        if link is not None:
            self._reactor.removeReader(link)
            link.finish(END + _GRACE)

    def _begin(self) -> None:
        self._later = None
        if self._order is None or self._ended:
            return
        try:
            process = self._start(self._order)
        except OSError as error:
            _log.error("the collector of records does not start: {why}", why=error.strerror)
            self._again()
            return
        self._link = _Link(process, self._reactor.seconds(), self._over)
        self._reactor.addReader(self._link)

    def _over(self, link: _Link) -> None:
        """It has ended, or closed its output, which comes to the same."""
        self._reactor.removeReader(link)
        self._link = None
        asked = link.is_let_go
        link.finish(0.0 if not asked else _GRACE)
        if asked:
            self._begin()
            return
        self.restarts += 1
        if self._reactor.seconds() - link.since >= _STEADY:
            self._delay = _BACKOFF[0]
        _log.error("the collector of records has ended; another starts, and goes on where it was")
        self._again()

    def _again(self) -> None:
        self._later = self._reactor.callLater(self._delay, self._begin)
        self._delay = min(_BACKOFF[1], 2 * self._delay)


@implementer(IReadDescriptor)
class _Link:
    """A collector's process, and what is read of it."""

    def __init__(self, process: subprocess.Popen[bytes], since: float, over: Callable[[_Link], None]) -> None:
        self.pid = process.pid
        self.since = since
        self.report: list[dict[str, object]] = []
        self.is_let_go = False
        self._process = process
        self._output = cast("Any", process.stdout)
        self._over = over
        self._rest = b""
        os.set_blocking(self._output.fileno(), False)

    def fileno(self) -> int:
        """Return what is read from."""
        return int(self._output.fileno()) if not self._output.closed else -1

    def logPrefix(self) -> str:
        """Return a name for Twisted's logs."""
        return "collector"

    def doRead(self) -> None:
        """Take its reports; its end is the end of them."""
        try:
            data = os.read(self._output.fileno(), _MAX_REPORT)
        except BlockingIOError:
            return
        if not data:
            self._over(self)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines:
            with suppress(ValueError):
                self.report = json.loads(lines[-1])

    def connectionLost(self, reason: object) -> None:
        """Called by Twisted at the end of what can be read, but also when the reactor stops."""
        del reason
        self.doRead()

    def let_go(self) -> None:
        """Have it come to its end."""
        self.is_let_go = True
        with suppress(OSError):
            cast("Any", self._process.stdin).close()

    def finish(self, patience: float) -> None:
        """Wait for it, at most `patience` s, then end it."""
        self.let_go()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()
