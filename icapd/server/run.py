"""`icapd serve`: bind, say so, serve, drain.

Everything that can fail fails before the first connection is accepted: one line, exit status 1 or 2.
"""

from __future__ import annotations

import gc
import ipaddress
import os
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
from icapd.server.connection import IcapProtocol
from icapd.server.control import listen_control
from icapd.server.reading import Hub
from icapd.server.reload import Reloader
from icapd.server.site import TICK, Site, load_generation
from icapd.server.tls import server_context

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress
    from twisted.internet.protocol import Protocol
    from twisted.python.failure import Failure

    from icapd.config import Config, Listen
    from icapd.server.interfaces import Port, Reactor

_reactor = cast("Reactor", reactor)
_BACKLOG = 1024
_STOP = 3.0  # s that scanners have to stop
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
    generation = load_generation(config)
    decisions = DecisionLog(open_log(config))
    begin_logging(sys.stderr)
    site = Site(config, generation, decisions)
    site.spools.prepare()
    factory = IcapFactory(site)
    ports = [listen_at(listen, config, factory) for listen in config.listen]
    gc.collect()
    gc.freeze()  # what was loaded stays: the collector need not look at it again
    site.hub = Hub()
    _reactor.addReader(site.hub)
    ticks = task.LoopingCall(site.on_tick)
    ticks.start(TICK, now=False).addErrback(lambda failure: _log.failure("the clock stopped", failure))
    drain = Drain(site, ports)
    signal.signal(signal.SIGTERM, drain.signalled)
    signal.signal(signal.SIGINT, drain.signalled)
    reloader = Reloader(site)
    if config.control is not None:
        listen_control(config.control, reloader, site.probes, site.status)
    signal.signal(signal.SIGHUP, lambda *_: _reactor.callFromThread(reloader.reload))
    for port in ports:
        port.stopReading()
    start = _Start(site, ports, ready_line(config, ports))
    _reactor.callWhenRunning(start.begin)
    _reactor.run(installSignalHandlers=False)
    if start.failed is not None:
        raise start.failed
    decisions.end()
    if decisions.lost:
        _log.error("{count} decision lines could not be written", count=decisions.lost)
    return 0


class _Start:
    """What needs the reactor: scanners start, then connections are accepted, and that is said."""

    def __init__(self, site: Site, ports: list[Port], ready: str) -> None:
        self._site = site
        self._ports = ports
        self._ready = ready
        self.failed: IcapdError | None = None

    def begin(self) -> None:
        self._site.generation.scans.start().addCallbacks(self._started, self._refused)

    def _started(self, _: None) -> None:
        for port in self._ports:
            port.startReading()
        sys.stderr.write(self._ready)

    def _refused(self, failure: Failure) -> None:
        error = failure.value
        self.failed = (
            error if isinstance(error, IcapdError) else IcapdError(f"scanners do not start: {error}")
        )
        _reactor.stop()


class Drain:
    """SIGTERM: no new connections, idle ones closed, those at hand finished or cut after limits.drain."""

    def __init__(self, site: Site, ports: list[Port]) -> None:
        self._site = site
        self._ports = ports
        self._polls = 0
        self._stopped = False

    def signalled(self, *_: object) -> None:
        """Begin; the second time, end at once."""
        _reactor.callFromThread(self._begin)

    def _begin(self) -> None:
        if self._site.draining:
            self._stop()
            return
        self._site.draining = True
        for port in self._ports:
            port.stopListening()
        for connection in tuple(self._site.connections):
            connection.close_if_idle()
        self._poll()

    def _poll(self) -> None:
        open_now = len(self._site.connections)
        limit = self._site.config.limits.drain
        if not open_now or self._polls * 0.1 >= limit:
            if open_now:
                _log.warn("{count} connections were cut after {limit} s", count=open_now, limit=limit)
            self._stop()
            return
        self._polls += 1
        _reactor.callLater(0.1, self._poll)

    def _stop(self) -> None:
        if not self._stopped:  # a third signal, or the second as the last connection ends
            self._stopped = True
            _reactor.callLater(_STOP, _stop_reactor)
            self._site.generation.scans.retire().addBoth(lambda _: _stop_reactor())


def _stop_reactor() -> None:
    with suppress(error.ReactorNotRunning):
        _reactor.stop()


def listen_at(listen: Listen, config: Config, plain: IcapFactory) -> Port:
    """Bind and listen. Raises IcapdError."""
    factory: IcapFactory | IcapsFactory = plain
    if listen.scheme == "icaps":
        factory = IcapsFactory(server_context(config), isClient=False, wrappedFactory=plain)
    try:
        return _reactor.listenTCP(listen.port, factory, backlog=_BACKLOG, interface=listen.host)
    except error.CannotListenError as failure:
        reason = failure.socketError
        why = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
        raise IcapdError(f"cannot listen on {listen.text}: {why}") from None


def open_log(config: Config) -> int:
    """Return the descriptor of the decision log. Raises IcapdError."""
    if config.decisions is None:
        return sys.stdout.fileno()
    try:
        return os.open(config.decisions, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    except OSError as failure:
        raise IcapdError(f"cannot open the decision log {config.decisions}: {failure.strerror}") from None


def ready_line(config: Config, ports: list[Port]) -> str:
    """Return what is printed when connections are accepted."""
    names = ", ".join(
        f"{listen.scheme}://{_bracketed(listen.host)}:{port.getHost().port}"
        for listen, port in zip(config.listen, ports, strict=True)
    )
    return f"icapd: ready on {names}\n"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def begin_logging(stream: TextIO) -> None:
    """Send what is logged to `stream`, a line each."""

    def line(event: LogEvent) -> str | None:
        text = formatEvent(event)
        failure = event.get("log_failure")
        if failure is not None:
            text += "\n" + failure.getTraceback()
        level = event["log_level"].name
        if not text or level == "debug" or (level == "info" and event["log_namespace"] != "icapd"):
            return None
        return "".join(f"icapd: {level}: {part}\n" for part in text.splitlines())

    observer = cast("ILogObserver", FileLogObserver(stream, line))
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
