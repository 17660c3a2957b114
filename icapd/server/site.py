"""What all connections share: the policy at hand, services, limits, the clock's ticks, the log.

A policy, its pages and its ISTag are one value, `Generation`, replaced as a whole.
"""

from __future__ import annotations

import dataclasses
import email.utils
import hashlib
import itertools
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from twisted.logger import Logger

from icapd.adaptation import Scanning
from icapd.adapters.cache import VerdictCache
from icapd.adapters.scanners import Scan, make_scanners, size_of, worth_of
from icapd.directory import Directory, Pending, load_directory
from icapd.events import policy_line
from icapd.facts import FRAGMENT, USUAL, UserHeaders, transaction_of
from icapd.http import HeadError
from icapd.metrics.words import ACTIONS, ALLOW, BYPASS, POINTS, QUICK, SENT, new_words
from icapd.pages import Pages
from icapd.policy import Policy, load_policy, reload_policy
from icapd.protocol import Banner, RemoteProtocolError
from icapd.server.delivery import Pace
from icapd.server.late import LateBlocks
from icapd.server.message import Message
from icapd.server.probes import Probes
from icapd.server.quick import Quick
from icapd.server.scanning import NO_SCANNERS, Scans
from icapd.server.services import Service, services
from icapd.server.spool import Spools
from icapd.server.tunnels import Tunnels
from icapd.squid.versions import version_facts

if TYPE_CHECKING:
    from icapd.config import Config
    from icapd.events import Log
    from icapd.protocol import RequestReceived
    from icapd.server.lifetime import Lifetime
    from icapd.server.reading import Hub

TICK = 0.5  # seconds; deadlines are counted in ticks, so that the hot path reads an int, not a clock

_LOSS_TICKS = 20  # between two reports of lost decision lines
_MAX_WARNINGS = 20  # a tick: a hostile peer must not fill the journal


_NOBODY = Directory()
_TAG_DIGITS = 24  # an ISTag has 32 characters at most
_PASSED = tuple(
    QUICK + point * len(ACTIONS) + action for point in range(len(POINTS)) for action in (ALLOW, BYPASS)
)
_LATE_TICKS = 60  # between two looks for late blocks that are too old
_AT_ONCE = 1_000  # connections whose deadlines are looked at in one tick, or
_PARTS = 8  # ticks in which all are


@dataclass(frozen=True, slots=True)
class Generation:
    """One loaded policy with its pages and what is known of users; `istag` changes exactly when they do."""

    policy: Policy
    pages: Pages
    istag: bytes
    directory: Directory = _NOBODY
    user_headers: UserHeaders = USUAL
    scans: Scans = field(default_factory=lambda: Scans(NO_SCANNERS))
    scanning: Scanning | None = None  # None: there is nothing to scan with, and no rule on bodies
    cache: VerdictCache[Scan] | None = None
    loaded: bytes = b""  # `tagged()` before scanners have started: of files alone, so alike in all workers

    @property
    def max_size(self) -> int:
        """Bytes of a body that is scanned at most; 0: any is."""
        return 0 if self.scanning is None else self.scanning.max_size

    def tagged(self) -> bytes:
        """Return the ISTag: `istag` and the scanners' tag, which changes when their databases do."""
        scanners = self.scans.scanners
        if not scanners.active:
            return self.istag
        return (
            b"icapd-" + hashlib.sha256(self.istag + scanners.tag.encode()).hexdigest()[:_TAG_DIGITS].encode()
        )


def load_generation(config: Config, old: Generation | None = None) -> Generation:
    """Load policy, pages, users and scanners, not started. Raises ConfigErrors; nothing is half-loaded.

    Of `old` the verdicts outlive it, and policy and pages if they have not changed.
    """
    policy = load_policy(config.policy) if old is None else reload_policy(old.policy, config.policy)
    cache = None if old is None else old.cache
    directory = load_directory(config, policy)
    parts = ("icapd", policy.digest, directory.static.digest)
    istag = "-".join(filter(None, parts)).encode("ascii")
    pages = Pages.load(config.page, fits=config.replies == "fit")
    if old is not None and pages == old.pages:
        pages = old.pages  # with what was prepared of them
    cache = cache or VerdictCache(config.verdict_cache, time.monotonic, worth=worth_of, size=size_of)
    scanners = make_scanners(config, policy, cache)
    used = scanners.active or policy.asks_body
    scanning = Scanning(scanners, config.content.max_body) if used or policy.threats else None
    scans = Scans(scanners, used=used)
    made = Generation(policy, pages, istag, directory, config.user_headers, scans, scanning, cache)
    return dataclasses.replace(made, loaded=made.tagged())


@final
@dataclass(frozen=True, slots=True)
class Waiting:
    """A message whose decision needs `groups` which are still being asked for."""

    groups: Pending
    message: Message

    def finish(self, groups: tuple[str, ...] | None) -> Message:
        """Decide, by the generation that the message began with."""
        message = self.message
        message.generation.directory.add(message.tx.client, groups)
        message.decide()
        return message


class Site:
    """Shared by all connections of the process."""

    log = Logger(namespace="icapd")

    def __init__(self, config: Config, generation: Generation, decisions: Log) -> None:
        self.config = config
        self.generation = generation
        self.decisions = decisions
        self.services: dict[bytes, Service] = services(config)
        self.connections: set[Lifetime] = set()
        self._unchecked: list[Lifetime] = []  # whose deadlines are looked at with the next ticks
        self.hub: Hub | None = None  # of the reactor that runs
        self.draining = False
        self.tick = 0
        self.counts = new_words()  # see icapd.metrics.words
        self._passed = 0  # of those, answered in a word and accounted for in SENT
        self.banner = self._banner()
        self._warnings = 0
        self._suppressed = 0
        self._lost = 0  # decision lines whose loss was reported
        self.spools = Spools(config.spool)
        self.pace = Pace.of(config.delivery, stalls=version_facts(config.squid.version).stalls)
        self.late = LateBlocks()
        self.tunnels = Tunnels()
        self.probes = Probes(time.monotonic)
        self.quick = Quick(self)
        self._id_prefix = decisions.source + "-"  # so ids are unique over restarts
        self._ids = itertools.count(1)
        self.crowded = False  # while a connection comes that is one too many for all workers together

    @property
    def decided(self) -> int:
        """How many ids were given out."""
        return int(repr(self._ids)[6:-1]) - 1  # "count(5)": counting aside would cost each request

    def status(self) -> dict[str, object]:
        """Return what `{"command": "status"}` tells of a single process: itself, as the one worker."""
        pid, digest, count = os.getpid(), self.generation.policy.digest, len(self.connections)
        worker = {
            "worker": 0,
            "pid": pid,
            "connections": count,
            "requests": self.decided,
            "lost_lines": self.decisions.lost,
            "restarts": 0,
            "digest": digest,
        }
        whole = {"pid": pid, "digest": digest, "draining": self.draining, "connections": count}
        return {**whole, "workers": [worker]}

    def next_id(self) -> str:
        """Return a new decision id: `k3v7q2xa-1f`."""
        return f"{self._id_prefix}{next(self._ids):x}"

    @property
    def seconds(self) -> float:
        """Seconds since the start, in steps of a TICK."""
        return self.tick * TICK

    def settle(self) -> None:
        """Add to SENT what `Quick` let through: of one length, nearly, so the hot path need not count it."""
        passed = sum(self.counts[place] for place in _PASSED)
        last = f"{self._id_prefix}{self.decided:x}"
        self.counts[SENT] += (passed - self._passed) * len(self.banner.named(last))
        self._passed = passed

    def replace(self, generation: Generation) -> None:
        """Adopt another policy: one reference, so that each transaction sees one generation."""
        self.settle()
        self.generation = generation
        self.banner = self._banner()

    def record_policy(self) -> None:
        """Write down which policy this process serves from now on."""
        now = time.time()  # noqa: TID251  # the server's clock
        self.decisions.append(policy_line(now, self.decisions.source, self.generation.policy.digest))

    def _banner(self) -> Banner:
        date = email.utils.formatdate(usegmt=True).encode("ascii")
        return Banner(date=date, istag=self.generation.tagged())

    def on_tick(self) -> None:
        """Once a TICK: a new Date, deadlines, what the log has gathered."""
        self.tick += 1
        self.banner = self._banner()
        now = time.time()  # noqa: TID251  # the server's clock
        for line in self.tunnels.events(now, self.decisions.source):
            self.decisions.append(line)
        self.decisions.flush()
        if self.tick % _LOSS_TICKS == 0 and self.decisions.lost != self._lost:
            self._lost = self.decisions.lost
            self.log.error("{count} decision lines could not be written so far", count=self._lost)
        if self._suppressed:
            self.log.warn("{count} more warnings were not shown", count=self._suppressed)
        self._warnings = self._suppressed = 0
        if self.tick % _LATE_TICKS == 0:
            self.late.forget()
            self.probes.forget()
        self.spools.serve()
        self._check_deadlines()

    def _check_deadlines(self) -> None:
        """Look at all connections, or at a part of very many: 10,000 take long enough to be felt."""
        left = self._unchecked or list(self.connections)
        count = max(_AT_ONCE, len(self.connections) // _PARTS)
        self._unchecked, part = left[:-count], left[-count:]
        for connection in part:
            try:
                if connection in self.connections:
                    connection.check_deadline()
            except Exception:  # noqa: BLE001  # one connection's fault must not stop the clock of all
                self.log.failure("a deadline could not be kept")
                connection.abort()

    def adapt(self, icap: RequestReceived, service: Service, decision_id: str) -> Message | Waiting:
        """Decide one request by its heads. Raises RemoteProtocolError(400) for an impossible one."""
        generation = self.generation
        headers = icap.headers
        if self.probes.active:
            generation = self.probes.generation(generation, service.point, headers, icap.request_head)
        now = time.time()  # noqa: TID251  # the server's clock
        try:
            tx = transaction_of(
                service.point, headers, icap.request_head, icap.response_head, now, generation.user_headers
            )
        except HeadError as error:
            raise RemoteProtocolError(400, str(error)) from None
        tx.body_follows = icap.body is not None and generation.scanning is not None
        self.tunnels.attend(tx, headers, decision_id)
        message = Message(self, generation, tx, icap, decision_id, marks=FRAGMENT in headers)
        directory = generation.directory
        if directory.asked:
            pending = directory.complete(tx.client)
            if pending is not None:
                return Waiting(pending, message)
        message.decide()
        return message

    def warn(self, text: str, **fields: object) -> None:
        """Log a warning that a peer can cause: at most _MAX_WARNINGS a tick, the rest counted."""
        if self._warnings < _MAX_WARNINGS:
            self._warnings += 1
            self.log.warn(text, **fields)
        else:
            self._suppressed += 1
