"""One worker: serves the connections that the supervisor hands it, and does as it is told.

It has no signals and no listening socket of its own. What must outlive it is in shared memory (tunnels,
decision lines, counters) or with the supervisor (late blocks, probes' tokens).
"""

from __future__ import annotations

import base64
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import reactor as _installed
from twisted.internet import task
from twisted.logger import Logger

from icapd.errors import IcapdError
from icapd.events.withheld import withholding
from icapd.server.channel import Channel
from icapd.server.gathering import Gathering
from icapd.server.ledger import CLOSED, REQUESTS, Ledger, LedgerLog
from icapd.server.reading import Hub
from icapd.server.reload import Reloader
from icapd.server.run import Drain, IcapFactory, IcapsFactory, begin_logging
from icapd.server.shared_tunnels import SharedStore
from icapd.server.shares import keys_of, share_of
from icapd.server.site import TICK, Site
from icapd.server.tunnels import Tunnels

if TYPE_CHECKING:
    import socket

    from twisted.internet.protocol import ServerFactory
    from twisted.internet.ssl import CertificateOptions
    from twisted.python.failure import Failure

    from icapd.config import Config
    from icapd.server.channel import Message
    from icapd.server.lifetime import Lifetime
    from icapd.server.site import Generation

_reactor: Any = _installed  # several interfaces of Twisted's at once
_HOLD = 1.0  # s that a worker stands still for the others, at most
_TELL = 2  # ticks
_MAX_LATE = 100_000  # bytes of a late block that are told to the others
_log = Logger(namespace="icapd")


@dataclass(frozen=True, slots=True)
class Birth:
    """What every worker of one nursery begins with."""

    base: Config
    generation: Generation
    key: str
    context: CertificateOptions | None
    tunnels: int
    ledgers: tuple[int, ...]
    secret: bytes  # that names of users are hashed with
    supervisor: int


class _Connections(set["Lifetime"]):
    """The open connections; the supervisor reads in the ledger how many have ended."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._words = ledger.words

    def discard(self, connection: Lifetime) -> None:  # type: ignore[override]
        """Forget one that has ended."""
        super().discard(connection)
        self._words[CLOSED] += 1


def live(birth: Birth, number: int, link: socket.socket) -> None:
    """Be worker `number` until the supervisor says stop; the process then ends."""
    _reactor.__init__()  # the nursery's, which never ran: descriptors of our own instead of shared ones
    begin_logging(sys.stderr)
    worker = Worker(birth, number, link)
    _reactor.callWhenRunning(worker.begin)
    _reactor.run(installSignalHandlers=False)
    worker.end()


class Worker:
    """The worker as its channel sees it: one method for each kind of message."""

    def __init__(self, birth: Birth, number: int, link: socket.socket) -> None:
        self._birth = birth
        self._ledger = Ledger(birth.ledgers[number])
        self._channel = Channel(link, _reactor, self._heard, lambda: os._exit(0))
        log = LedgerLog(self._ledger, lambda: self._channel.send({"kind": "full"}))
        config = share_of(birth.base, len(birth.ledgers))
        withheld = withholding(log, birth.base.events, birth.secret)
        self._site = site = Site(config, birth.generation, withheld)
        site.connections = _Connections(self._ledger)
        store = SharedStore(birth.tunnels, number)
        site.tunnels = Tunnels(store, store.waiting())
        site.late.tell = self._told_late
        site.spools.prepare()
        site.hub = Hub()
        _reactor.addReader(site.hub)
        plain = IcapFactory(site)
        self._factories: dict[str, ServerFactory] = {"icap": cast("ServerFactory", plain)}
        if birth.context is not None:
            secure = IcapsFactory(birth.context, isClient=False, wrappedFactory=plain)
            self._factories["icaps"] = cast("ServerFactory", secure)
        self._requests = self._ledger.requests
        self._gathering = Gathering(site, self._ledger.counts())
        self._told: dict[str, Any] = {}  # what it serves with
        self._ticks = 0
        self._reloader = Reloader(site, len(birth.ledgers))
        self._aside: tuple[Config, Generation] | None = None
        self._round = 0
        self._key = birth.key
        self._drain = Drain(site, [])

    def begin(self) -> None:
        """The reactor runs: start the clock and the scanners, then ask for connections."""
        ticks = task.LoopingCall(self._tick)
        ticks.start(TICK, now=False).addErrback(lambda failure: _log.failure("the clock stopped", failure))
        self._site.generation.scans.start().addCallbacks(self._started, self._refused)

    def end(self) -> None:
        """The reactor has ended."""
        self._tick()

    def _started(self, _: None) -> None:
        self._site.record_policy()
        digest = self._site.generation.policy.digest
        self._channel.send({"kind": "ready", "pid": os.getpid(), "key": self._key, "digest": digest})
        self._tell()

    def _refused(self, failure: Failure) -> None:
        error = failure.value
        text = str(error) if isinstance(error, IcapdError) else f"scanners do not start: {error}"
        self._channel.send({"kind": "refused", "text": text[:10_000]})
        self._drain.begin()

    def _tick(self) -> None:
        site = self._site
        site.on_tick()
        self._ledger.words[REQUESTS] = self._requests + site.decided
        self._ledger.publish(self._gathering.words())
        self._ticks += 1
        if self._ticks % _TELL == 0:
            self._tell()

    def _tell(self) -> None:
        """Tell what it serves with, if that has changed."""
        serving = asdict(self._gathering.serving())
        if serving != self._told:
            self._told = serving
            self._channel.send({"kind": "serving", "serving": serving})

    # --- What the supervisor says -----------------------------------------------------------

    def _heard(self, message: Message, fds: list[int]) -> None:
        getattr(self, f"_on_{message['kind']}")(message, *fds)

    def _on_take(self, message: Message, descriptor: int) -> None:
        """Serve a connection."""
        site, open_before = self._site, len(self._site.connections)
        site.crowded = message["crowded"]
        closed = self._ledger.closed
        try:
            _reactor.adoptStreamConnection(descriptor, message["family"], self._factories[message["scheme"]])
        except OSError:
            pass  # it is gone already
        finally:
            site.crowded = False
            with suppress(OSError):
                os.close(descriptor)
        if len(site.connections) == open_before and self._ledger.closed == closed:
            self._ledger.words[CLOSED] += 1  # refused, or gone

    def _on_load(self, message: Message) -> None:
        """First phase of a reload, which has a number: what is said of one must not count for the next."""
        self._drop()
        self._round = asked = message["round"]
        prepared = self._reloader.prepare()
        prepared.addCallbacks(
            lambda loaded: self._prepared(asked, loaded), lambda failure: self._not_prepared(asked, failure)
        )

    def _prepared(self, asked: int, loaded: tuple[Config, Generation]) -> None:
        if asked != self._round:
            loaded[1].scans.retire()  # nobody waits for it any more
            return
        self._aside = loaded
        self._channel.send({"kind": "prepared", "round": asked, "key": keys_of(*loaded)})

    def _not_prepared(self, asked: int, failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, IcapdError):
            _log.failure("reload failed", failure)
        text = str(error) if isinstance(error, IcapdError) else f"unforeseen: {type(error).__name__}"
        self._channel.send({"kind": "problems", "round": asked, "text": text[:20_000]})

    def _on_hold(self, message: Message) -> None:
        """Second phase: stand still until all do, so that nobody sees the old policy after the new one."""
        del message
        self._channel.send({"kind": "held"})
        said = self._channel.wait(frozenset({"adopt", "drop"}), _HOLD)
        if said is not None:
            self._heard(said, [])

    def _on_adopt(self, message: Message) -> None:
        """Serve what was prepared."""
        del message
        if self._aside is None:
            return
        loaded, self._aside = self._aside, None
        self._key = keys_of(*loaded)
        self._reloader.adopt(*loaded)
        self._channel.send({"kind": "adopted", "digest": loaded[1].policy.digest})
        self._tell()

    def _on_drop(self, message: Message) -> None:
        """Forget what was prepared."""
        del message
        self._drop()

    def _drop(self) -> None:
        self._round = 0
        if self._aside is not None:
            self._aside[1].scans.retire()
            self._aside = None

    def _on_drain(self, message: Message) -> None:
        """Finish what is under way and end; said again, end at once."""
        del message
        self._drain.begin()

    def _on_probe(self, message: Message) -> None:
        self._site.probes.admit(message["token"])
        self._channel.send({"kind": "answer", "to": message["to"], "value": True})

    def _on_probed(self, message: Message) -> None:
        seen = self._site.probes.seen(message["token"])
        self._channel.send({"kind": "answer", "to": message["to"], "value": seen})

    def _on_late(self, message: Message) -> None:
        """Another worker cut a download, or told of it."""
        self._site.late.hear(base64.b64decode(message["data"]))

    def _told_late(self, data: bytes) -> None:
        if len(data) <= _MAX_LATE:
            text = base64.b64encode(data).decode("ascii")
            self._channel.send({"kind": "late", "data": text})
