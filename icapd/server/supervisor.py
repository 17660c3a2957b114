"""The process above the workers: has the listening sockets, the control socket, the signals and the log.

It reads no ICAP and no content. A worker that dies takes its own connections with it and nothing else;
another is forked from the nursery, which has what all have adopted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet import error, task
from twisted.internet import reactor as _installed
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from icapd.errors import IcapdError
from icapd.events import DecisionLog
from icapd.metrics.snapshot import Serving, Snapshot, merged
from icapd.metrics.words import total_of
from icapd.recording import user_key
from icapd.server.agreement import Agreement
from icapd.server.asking import Asking
from icapd.server.channel import Channel, pair
from icapd.server.collecting import Collecting
from icapd.server.control import listen_control
from icapd.server.crew import Place, by_room
from icapd.server.endpoint import listen_metrics
from icapd.server.front import Front, Peers
from icapd.server.nursery import name_process, start_nursery
from icapd.server.overview import Overview, Remembered
from icapd.server.rotation import Rotation, open_log
from icapd.server.run import announce, begin_logging, listen_at, on_signals, ready_line
from icapd.server.shared_tunnels import make_table
from icapd.server.sweeping import ABANDONED, sweep
from icapd.server.systemd import Announced, Notifier, bound

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from icapd.config import Config
    from icapd.server.channel import Message
    from icapd.server.systemd import Bound

_reactor: Any = _installed  # several interfaces of Twisted's at once
_TICK = 0.25  # s between two looks at the workers' lines
_REPORT = 20  # ticks
_STOP = 4.0  # s that workers have to end at once
_RETRY = 5.0  # s until another nursery is tried
_LATE = 600.0  # s for which a late block is told to new workers
_MAX_LATE = 2000
_PR_SET_CHILD_SUBREAPER = 36
_log = Logger(namespace="icapd")


def supervise(config: Config) -> int:
    """Serve by workers until SIGTERM or SIGINT; a second signal ends at once. Returns the exit status.

    Raises IcapdError when a port cannot be bound, a file cannot be opened, or the policy has faults.
    """
    notifier = Notifier.of()
    decisions = DecisionLog(open_log(config))
    begin_logging(sys.stderr)
    name_process(b"icapd")
    become_reaper()
    factory: Any = Factory()  # never asked: connections are accepted by a Front
    listens = bound(config.listen)
    ports: list[Any] = [listen_at(each, config, factory) for each in listens]
    for port in ports:
        port.stopReading()
    supervisor = Supervisor(config, decisions, listens, ports, notifier)
    reloads = Remembered(Announced(supervisor.agreement, notifier))
    on_signals(supervisor.drain, reloads.reload, Rotation(config, decisions, _reactor))
    signal.signal(signal.SIGCHLD, lambda *_: _reactor.callFromThread(reap))
    if config.control is not None:
        listen_control(config.control, reloads, supervisor.asking, supervisor.status)
    if config.metrics is not None:
        overview = Overview(config, supervisor.snapshot, reloads, supervisor.collecting, supervisor.pids)
        listen_metrics(config.metrics, overview, _reactor)
    sweep(config)
    _reactor.callWhenRunning(supervisor.begin)
    _reactor.run(installSignalHandlers=False)
    supervisor.end()
    if supervisor.failed is not None:
        raise supervisor.failed
    return 0


class Supervisor:
    """All of it, once the sockets are bound. `digest` and `key` are of what the workers serve."""

    def __init__(
        self,
        config: Config,
        decisions: DecisionLog,
        listens: list[Bound],
        ports: list[Any],
        notifier: Notifier,
    ) -> None:
        self.config = config
        self._ready_line = ready_line(listens, ports)
        self._notifier = notifier
        self.places = [Place(number, _reactor) for number in range(config.workers)]
        self.agreement = Agreement(self, _reactor)
        self.asking = Asking(self.places, _reactor)
        self.collecting = Collecting(_reactor)
        self.draining = False
        self.digest = self.key = ""
        self.failed: IcapdError | None = None
        self._decisions = decisions
        self._secret = user_key(config.events)
        self._ports = ports
        self._peers = Peers(config)
        self._fronts = [
            Front(port.socket, at.listen.scheme, self._peers, self._take, _reactor)
            for at, port in zip(listens, ports, strict=True)
        ]
        self._tunnels = make_table()
        self._nursery: Channel | None = None
        self._late: deque[tuple[float, Message]] = deque(maxlen=_MAX_LATE)
        self._unserved: list[tuple[socket.socket, str]] = []
        self._serving = False
        self._ticks = 0
        self._lost = 0

    def begin(self) -> None:
        """The reactor runs: load, then start the workers, then accept."""
        clock = task.LoopingCall(self._tick)
        clock.start(_TICK, now=False).addErrback(lambda failure: _log.failure("the clock stopped", failure))
        self._rear_anew()
        self.collecting.serve(self.config)

    def end(self) -> None:
        """The reactor has ended: what the workers left is written."""
        self._tick()
        self._decisions.end()
        self.collecting.end()
        lost = self._lost_lines
        if lost:
            _log.error("{count} decision lines could not be written", count=lost)

    def status(self) -> dict[str, object]:
        """Return what `{"command": "status"}` tells."""
        return {
            "pid": os.getpid(),
            "digest": self.digest,
            "draining": self.draining,
            "connections": sum(place.open for place in self.places),
            "workers": [place.status() for place in self.places],
        }

    def pids(self) -> dict[int, str]:
        """Return the workers by process id, as the metrics call them."""
        return {place.pid: f"worker {place.number}" for place in self.places if place.pid}

    def snapshot(self) -> Snapshot:
        """Return how all workers together are."""
        places = self.places
        return Snapshot(
            0.0,
            0.0,
            self.digest,
            tuple(place.facts() for place in places),
            self._serving,
            self.draining,
            self._lost_lines,
            self._peers.strangers,
            total_of([place.ledger.counts() for place in places]),
            merged([place.serving for place in places if place.pid]),
        )

    @property
    def _lost_lines(self) -> int:
        return self._decisions.lost + sum(place.ledger.lost for place in self.places)

    # --- Nurseries --------------------------------------------------------------------------

    def rear(self, heard: Callable[[Message], None], lost: Callable[[], None]) -> tuple[Channel, int]:
        """Start a nursery, which loads what the files say now. Its channel, and its process id."""
        ours, theirs = pair()
        ledgers = [place.ledger.descriptor for place in self.places]
        with theirs:
            pid = start_nursery(theirs, self._tunnels, ledgers, self.config, self._secret)
        return Channel(ours, _reactor, lambda message, _: heard(message), lost), pid

    def adopted(self, key: str, digest: str, nursery: Channel, pid: int) -> None:
        """All workers serve what `nursery` has loaded; who does not is replaced by one that does."""
        del pid
        if self._nursery is not None:
            self._nursery.close()
        self.key, self.digest = key, digest
        self._nursery = nursery
        nursery.redirect(lambda *_: None, self._nursery_lost)
        if not nursery.is_open:
            self._nursery_lost()
        for place in self.places:
            if place.pid and place.key != key:
                place.kill()
            elif place.channel is None:
                self._spawn(place)

    def _rear_anew(self) -> None:
        if self.draining or self._nursery is not None:
            return

        def heard(message: Message) -> None:
            if message["kind"] == "problems":
                self._not_reared(channel, message["text"], message["status"])
            elif self.key and message["key"] != self.key:
                self._not_reared(channel, "the files are no longer those that serve")
            else:
                self.adopted(message["key"], message["digest"], channel, pid)

        channel, pid = self.rear(heard, lambda: self._not_reared(channel, "it ended unexpectedly"))

    def _not_reared(self, channel: Channel, why: str, status: int = 1) -> None:
        channel.close()
        if not self.key:
            self._give_up(why, status)
            return
        _log.error("workers that die are not replaced until `icapd reload`: {why}", why=why)
        _reactor.callLater(_RETRY, self._rear_anew)

    def _nursery_lost(self) -> None:
        self._nursery = None
        if not self.draining:
            _log.error("the process that workers are forked from has died; another takes its place")
            self._rear_anew()

    # --- Workers ----------------------------------------------------------------------------

    def _spawn(self, place: Place) -> None:
        if self._nursery is not None and place.channel is None and not self.draining:
            place.spawn(self._nursery, self._heard, self._lost_worker)

    def _heard(self, place: Place, message: Message) -> None:
        match message["kind"]:
            case "ready":
                self._ready(place, message)
            case "refused":
                self._refused(place, message["text"])
            case "full":
                self._collect(place)
            case "late":
                self._late.append((_reactor.seconds(), message))
                for other in self.places:
                    if other is not place:
                        other.send(message)
            case "serving":
                place.serving = Serving.of(message["serving"])
            case "answer":
                self.asking.heard(place, message)
            case _:
                self.agreement.heard(place, message)

    def _ready(self, place: Place, message: Message) -> None:
        place.is_ready(message)
        if self.draining:
            place.send({"kind": "drain"})
            return
        if place.key != self.key:
            place.kill()  # of a generation that was replaced while it started
            return
        for token in self.asking.tokens():
            place.send({"kind": "probe", "token": token, "to": 0})
        now = _reactor.seconds()
        for at, told in self._late:
            if now - at < _LATE:
                place.send(told)
        self.agreement.joined(place)
        if not self._serving and all(each.pid for each in self.places):
            self._serving = True
            announce(self._ready_line, self._notifier)
        if self._serving:
            unserved, self._unserved = self._unserved, []
            for connection, scheme in unserved:
                self._take(connection, scheme)
            for front in self._fronts:
                front.open()

    def _refused(self, place: Place, text: str) -> None:
        """Its scanners do not start: at the start that is the end, later it is tried again."""
        if not self._serving:
            self._give_up(text, 2)
            return
        _log.error("worker {number} does not start: {why}", number=place.number, why=text)

    def _lost_worker(self, place: Place) -> None:
        pid = place.pid
        self._collect(place)
        if untold := place.ledger.untold:
            self._decisions.lose(*untold)
        delay = place.vacate()
        self.asking.left(place)
        self.agreement.left(place)
        if self.draining:
            if not any(each.channel for each in self.places):
                _stop()
            return
        _log.error(
            "worker {number} (process {pid}) ended; another starts{when}",
            number=place.number,
            pid=pid or "?",
            when=f" in {delay:.1f} s" if delay else "",
        )
        if not any(each.pid for each in self.places):
            for front in self._fronts:
                front.pause()
        _reactor.callLater(delay, self._spawn, place)
        _reactor.callLater(ABANDONED + 1, sweep, self.config)

    def _take(self, connection: socket.socket, scheme: str) -> None:
        limit = self.config.limits.connections
        crowded = sum(each.open for each in self.places) >= limit
        if crowded:
            self._peers.crowded += 1
        if not any(place.take(connection, scheme, crowded=crowded) for place in by_room(self.places)):
            self._unserved.append((connection, scheme))  # the last worker has just died

    # --- The clock, and the end -------------------------------------------------------------

    def _tick(self) -> None:
        for place in self.places:
            self._collect(place)
        self._decisions.flush()
        self._notifier.alive(_reactor.seconds(), self.status)
        self._ticks += 1
        if self._ticks % _REPORT == 0:
            self._peers.report()
            lost = self._lost_lines
            if lost != self._lost:
                self._lost = lost
                _log.error("{count} decision lines could not be written so far", count=lost)

    def _collect(self, place: Place) -> None:
        lines = place.ledger.take()
        if lines:
            self._decisions.add(lines.decode("ascii"))

    def _give_up(self, why: str, status: int) -> None:
        self.failed = IcapdError(why)
        self.failed.exit_status = status
        self.draining = True
        for place in self.places:
            place.kill()
        _stop()

    def drain(self) -> None:
        """No new connections, those at hand finished or cut after limits.drain; again: end at once."""
        if self.draining:
            _reactor.callLater(_STOP, self._cut)
        else:
            self.draining = True
            self._notifier.stopping()
            for front in self._fronts:
                front.close()
            for port in self._ports:
                port.stopListening()
            _reactor.callLater(self.config.limits.drain + _STOP, self._cut)
        for place in self.places:
            place.send({"kind": "drain"})
        if not any(place.channel for place in self.places):
            _stop()

    def _cut(self) -> None:
        for place in self.places:
            place.kill()
        _stop()


def become_reaper() -> None:
    """Have the kernel make this process the parent of what its descendants leave behind."""
    import ctypes  # noqa: PLC0415

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> None:
    """Take leave of the dead: workers, nurseries, and what they left."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _stop() -> None:
    with suppress(error.ReactorNotRunning):
        _reactor.stop()
