"""`icapd serve`: bind, say so, serve, drain.

Everything that can fail fails before the first connection is accepted: one line, exit status 1 or 2.
"""

from __future__ import annotations

import gc
import ipaddress
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO, cast

from twisted.internet import error, reactor, task
from twisted.internet.protocol import Factory
from twisted.logger import FileLogObserver, ILogObserver, LogEvent, Logger, formatEvent, globalLogBeginner
from twisted.protocols.tls import TLSMemoryBIOFactory

from icapd.errors import IcapdError
from icapd.events import DecisionLog
from icapd.events.withheld import withholding
from icapd.metrics.words import LIMIT, LIMITS, STRANGERS
from icapd.recording import user_key
from icapd.server.collecting import Collecting
from icapd.server.connection import IcapProtocol
from icapd.server.control import listen_control
from icapd.server.endpoint import listen_metrics
from icapd.server.gathering import Gathering
from icapd.server.keeping import load_kept
from icapd.server.overview import Overview, Remembered, snapshot_of
from icapd.server.reading import Hub
from icapd.server.reload import Reloader
from icapd.server.rotation import Rotation, open_log
from icapd.server.site import TICK, Site
from icapd.server.systemd import Announced, Bound, Notifier, bound
from icapd.server.tls import server_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress
    from twisted.internet.protocol import Protocol
    from twisted.python.failure import Failure

    from icapd.config import Config
    from icapd.metrics.snapshot import Snapshot
    from icapd.server.interfaces import Port, Reactor
    from icapd.server.site import Generation

_reactor = cast("Reactor", reactor)
_BACKLOG = 1024
_OFTEN = 10.0  # s between two complaints of a lack of descriptors
_STOP = 3.0  # s that scanners have to stop
_POLL = 0.1  # s between two looks at what is left while draining
_GRACE = 5  # of those until idle connections are closed
_log = Logger(namespace="icapd")


class IcapFactory(Factory):
    """Makes a connection's protocol, for peers that may connect at all."""

    noisy = False

    def __init__(self, site: Site) -> None:
        self.site = site
        self._networks = tuple(ipaddress.ip_network(text) for text in site.config.peers)

    def admits(self, addr: IAddress | None) -> bool:
        """Whether `addr` is one of `peers`; if not, that is logged."""
        host = ipaddress.ip_address(getattr(addr, "host", "::"))
        mapped = getattr(host, "ipv4_mapped", None)
        if any((mapped or host) in network for network in self._networks):
            return True
        self.site.counts[STRANGERS] += 1
        self.site.warn("{host} is not in `peers`: connection refused", host=str(host))
        return False

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Return the protocol of a connection from `addr`, None to close it at once."""
        return IcapProtocol(self.site) if self.admits(addr) else None


class IcapsFactory(TLSMemoryBIOFactory):
    """The same over TLS; Twisted's own would wrap the None of a refused peer, and fail on it."""

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:  # type: ignore[override]
        """Return the protocol of a connection from `addr`, None to close it at once."""
        inner = cast("IcapFactory", self.wrappedFactory)
        return self.protocol(self, IcapProtocol(inner.site)) if inner.admits(addr) else None


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; a second signal ends at once. Returns the exit status.

    Raises IcapdError when a port cannot be bound or a file cannot be opened.
    """
    if config.workers > 1:
        from icapd.server.supervisor import supervise  # noqa: PLC0415  # which needs this module

        return supervise(config)
    generation = load_kept(config)
    notifier = Notifier.of()
    decisions = DecisionLog(open_log(config))
    site = _site(config, generation, decisions)
    factory = IcapFactory(site)
    listens = bound(config.listen)
    ports = [listen_at(each, config, factory) for each in listens]
    gc.collect()
    gc.freeze()  # what was loaded stays: the collector need not look at it again
    ticks = task.LoopingCall(_tick, site, notifier)
    ticks.start(TICK, now=False).addErrback(lambda failure: _log.failure("the clock stopped", failure))
    drain = Drain(site, ports, notifier.stopping)
    collecting = Collecting(_reactor)
    reloads = Remembered(Announced(Reloader(site, adopted=collecting.serve), notifier))
    on_signals(drain.begin, reloads.reload, Rotation(config, decisions, _reactor))
    if config.control is not None:
        listen_control(config.control, reloads, site.probes, site.status)
    for port in ports:
        port.stopReading()
    ready = ready_line(listens, ports)
    start = _Start(site, ports, lambda: announce(ready, notifier))
    _tell_metrics(site, reloads, start, collecting)
    _reactor.callWhenRunning(start.begin)
    _reactor.callWhenRunning(collecting.serve, config)
    _reactor.run(installSignalHandlers=False)
    decisions.end()
    collecting.end()
    if start.failed is not None:
        raise start.failed
    if decisions.lost:
        _log.error("{count} decision lines could not be written", count=decisions.lost)
    return 0


def _site(config: Config, generation: Generation, decisions: DecisionLog) -> Site:
    begin_logging(sys.stderr)
    site = Site(config, generation, withholding(decisions, config.events, user_key(config.events)))
    site.spools.prepare()
    site.hub = Hub()
    _reactor.addReader(site.hub)
    return site


def _tell_metrics(site: Site, reloads: Remembered, start: _Start, collecting: Collecting) -> None:
    config, gathering = site.config, Gathering(site)
    if config.metrics is not None:

        def look() -> Snapshot:
            return snapshot_of(site, gathering, accepting=start.accepts)

        overview = Overview(config, look, reloads, collecting)
        listen_metrics(config.metrics, overview, _reactor)


def _tick(site: Site, notifier: Notifier) -> None:
    site.on_tick()
    notifier.alive(_reactor.seconds(), site.status)


def announce(ready: str, notifier: Notifier) -> None:
    """Say that connections are accepted."""
    sys.stderr.write(ready)
    notifier.ready(ready.removeprefix("icapd: "))


def on_signals(stop: Callable[[], object], reload: Callable[[], object], rotation: Rotation) -> None:
    """Act on signals, in the reactor's turn."""
    for number, act in (
        (signal.SIGTERM, stop),
        (signal.SIGINT, stop),
        (signal.SIGHUP, reload),
        (signal.SIGUSR1, rotation.reopen),
        (signal.SIGUSR2, rotation.hold),
    ):
        signal.signal(number, lambda *_, act=act: _reactor.callFromThread(act))


class _Start:
    """What needs the reactor: scanners start, then connections are accepted, and that is said."""

    def __init__(self, site: Site, ports: list[Port], ready: Callable[[], None]) -> None:
        self._site = site
        self._ports = ports
        self._ready = ready
        self.failed: IcapdError | None = None
        self.accepts = False

    def begin(self) -> None:
        self._site.generation.scans.start().addCallbacks(self._started, self._refused)

    def _started(self, _: None) -> None:
        self._site.record_policy()
        for port in self._ports:
            port.startReading()
        self.accepts = True
        self._ready()

    def _refused(self, failure: Failure) -> None:
        error = failure.value
        self.failed = (
            error if isinstance(error, IcapdError) else IcapdError(f"scanners do not start: {error}")
        )
        _reactor.stop()


class Drain:
    """SIGTERM: no new connections, idle ones closed, those at hand finished or cut after limits.drain.

    A connection that looks idle may be about to ask: it has a moment for that, and is told that it closes.
    """

    def __init__(self, site: Site, ports: list[Port], begun: Callable[[], None] = lambda: None) -> None:
        self._site = site
        self._ports = ports
        self._begun = begun
        self._polls = 0
        self._stopped = False

    def begin(self) -> None:
        """Begin; the second time, end at once."""
        if self._site.draining:
            self._stop()
            return
        self._site.draining = True
        self._begun()
        for port in self._ports:
            port.stopListening()
        self._poll()

    def _poll(self) -> None:
        open_now = len(self._site.connections)
        limit = self._site.config.limits.drain
        if not open_now or self._polls * _POLL >= limit:
            if open_now:
                self._site.counts[LIMIT + LIMITS.index("drain")] += open_now
                _log.warn("{count} connections were cut after {limit} s", count=open_now, limit=limit)
            self._stop()
            return
        if self._polls == _GRACE:
            for connection in tuple(self._site.connections):
                connection.close_if_idle()
        self._polls += 1
        _reactor.callLater(_POLL, self._poll)

    def _stop(self) -> None:
        if not self._stopped:  # a third signal, or the second as the last connection ends
            self._stopped = True
            _reactor.callLater(_STOP, _stop_reactor)
            self._site.generation.scans.retire().addBoth(lambda _: _stop_reactor())


def _stop_reactor() -> None:
    with suppress(error.ReactorNotRunning):
        _reactor.stop()


def listen_at(at: Bound, config: Config, plain: IcapFactory) -> Port:
    """Listen, at a socket of our own or the one that is held for us. Raises IcapdError."""
    factory: IcapFactory | IcapsFactory = plain
    listen = at.listen
    if listen.scheme == "icaps":
        factory = IcapsFactory(server_context(config), isClient=False, wrappedFactory=plain)
    if at.held is not None:
        with at.held as held:  # Twisted duplicates it
            return _reactor.adoptStreamPort(held.fileno(), held.family, factory)
    try:
        return _reactor.listenTCP(listen.port, factory, backlog=_BACKLOG, interface=listen.host)
    except error.CannotListenError as failure:
        reason = failure.socketError
        why = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
        raise IcapdError(f"cannot listen on {listen.text}: {why}") from None


def ready_line(listens: list[Bound], ports: list[Port]) -> str:
    """Return what is printed when connections are accepted."""
    names = ", ".join(
        f"{at.listen.scheme}://{_bracketed(at.listen.host)}:{port.getHost().port}"
        for at, port in zip(listens, ports, strict=True)
    )
    return f"icapd: ready on {names}\n"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def begin_logging(stream: TextIO) -> None:
    """Send what is logged to `stream`, a line each."""
    told = -_OFTEN

    def line(event: LogEvent) -> str | None:
        nonlocal told
        text = formatEvent(event)
        if text.startswith("EMFILE encountered"):  # Twisted then closes what it accepts, and tells of each
            if abs(event["log_time"] - told) < _OFTEN:
                return None
            told = event["log_time"]
            return "icapd: error: no connection can be accepted: Too many open files\n"
        failure = event.get("log_failure")
        if failure is not None:
            text += "\n" + failure.getTraceback()
        level = event["log_level"].name
        if not text or level == "debug" or (level == "info" and event["log_namespace"] != "icapd"):
            return None
        return "".join(f"icapd: {level}: {part}\n" for part in text.splitlines())

    observer = cast("ILogObserver", FileLogObserver(stream, line))
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
