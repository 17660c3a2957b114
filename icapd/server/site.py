"""What all connections share: the policy at hand, services, limits, the clock's ticks, the log.

A policy, its pages and its ISTag are one value, `Generation`, replaced as a whole.
"""

from __future__ import annotations

import base64
import email.utils
import itertools
import os
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, final

from twisted.logger import Logger

from icapd.adaptation import Answer, UseVirgin, adapt, display_url
from icapd.directory import Directory, Pending, load_directory
from icapd.events import decision_line, with_tunnel
from icapd.facts import FRAGMENT, USUAL, UserHeaders, transaction_of
from icapd.http import HeadError
from icapd.pages import Pages
from icapd.policy import Policy, load_policy
from icapd.protocol import Banner, RemoteProtocolError
from icapd.server.quick import Quick
from icapd.server.services import Service, services
from icapd.server.tunnels import Tunnels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from icapd.config import Config
    from icapd.events import DecisionLog
    from icapd.protocol import RequestReceived
    from icapd.server.connection import IcapProtocol
    from icapd.server.reading import Hub
    from icapd.transaction import Transaction

TICK = 0.5  # seconds; deadlines are counted in ticks, so that the hot path reads an int, not a clock

_LOSS_TICKS = 20  # between two reports of lost decision lines
_MAX_WARNINGS = 20  # a tick: a hostile peer must not fill the journal


_NOBODY = Directory()


@dataclass(frozen=True, slots=True)
class Generation:
    """One loaded policy with its pages and what is known of users; `istag` changes exactly when they do."""

    policy: Policy
    pages: Pages
    istag: bytes
    directory: Directory = _NOBODY
    user_headers: UserHeaders = USUAL


def load_generation(config: Config) -> Generation:
    """Load policy, pages and users. Raises ConfigErrors; nothing is half-loaded."""
    policy = load_policy(config.policy)
    directory = load_directory(config, policy)
    parts = ("icapd", policy.digest, directory.static.digest)
    istag = "-".join(filter(None, parts)).encode("ascii")
    return Generation(
        policy, Pages.load(config.page, fits=config.replies == "fit"), istag, directory, config.user_headers
    )


@final
@dataclass(frozen=True, slots=True)
class Waiting:
    """A decision that needs `groups` which are still being asked for."""

    groups: Pending
    _add: Callable[[tuple[str, ...] | None], None]
    _decide: Callable[[bool], Answer]

    def finish(self, groups: tuple[str, ...] | None, may_204: bool) -> Answer:
        """Decide, by the generation that the transaction began with, and record it."""
        self._add(groups)
        return self._decide(may_204)


class Site:
    """Shared by all connections of the process."""

    log = Logger(namespace="icapd")

    def __init__(self, config: Config, generation: Generation, decisions: DecisionLog) -> None:
        self.config = config
        self.generation = generation
        self.decisions = decisions
        self.services: dict[bytes, Service] = services(config)
        self.connections: set[IcapProtocol] = set()
        self.hub: Hub | None = None  # of the reactor that runs
        self.draining = False
        self.tick = 0
        self.banner = self._banner()
        self._warnings = 0
        self._suppressed = 0
        self._lost = 0  # decision lines whose loss was reported
        self.tunnels = Tunnels()
        self.quick = Quick(self)
        # ids are unique over restarts by their random part, and short enough to read out to a help desk
        self._id_prefix = base64.b32encode(os.urandom(5)).decode("ascii").lower() + "-"
        self._ids = itertools.count(1)

    def next_id(self) -> str:
        """Return a new decision id: `k3v7q2xa-1f`."""
        return f"{self._id_prefix}{next(self._ids):x}"

    def replace(self, generation: Generation) -> None:
        """Adopt another policy: one reference, so that each transaction sees one generation."""
        self.generation = generation
        self.banner = self._banner()

    def _banner(self) -> Banner:
        date = email.utils.formatdate(usegmt=True).encode("ascii")
        return Banner(date=date, istag=self.generation.istag)

    def on_tick(self) -> None:
        """Once a TICK: a new Date, deadlines, what the log has gathered."""
        self.tick += 1
        self.banner = self._banner()
        for line in self.tunnels.events(time.time()):  # noqa: TID251  # the server's clock
            self.decisions.append(line)
        self.decisions.flush()
        if self.tick % _LOSS_TICKS == 0 and self.decisions.lost != self._lost:
            self._lost = self.decisions.lost
            self.log.error("{count} decision lines could not be written so far", count=self._lost)
        if self._suppressed:
            self.log.warn("{count} more warnings were not shown", count=self._suppressed)
        self._warnings = self._suppressed = 0
        for connection in tuple(self.connections):
            try:
                connection.check_deadline()
            except Exception:  # noqa: BLE001  # one connection's fault must not stop the clock of all
                self.log.failure("a deadline could not be kept")
                connection.abort()

    def adapt(
        self, icap: RequestReceived, service: Service, decision_id: str, *, may_204: bool
    ) -> Answer | Waiting:
        """Decide one request and record it. Raises RemoteProtocolError(400) for an impossible head.

        `may_204`: whether an unchanged message is answered with 204, or sent back.
        """
        generation = self.generation
        headers = icap.headers
        now = time.time()  # noqa: TID251  # the server's clock
        try:
            tx = transaction_of(
                service.point, headers, icap.request_head, icap.response_head, now, generation.user_headers
            )
        except HeadError as error:
            raise RemoteProtocolError(400, str(error)) from None
        self.tunnels.attend(tx, headers, decision_id)
        directory = generation.directory
        if directory.asked:
            pending = directory.complete(tx.client)
            if pending is not None:
                decide = partial(self._decide, tx, generation, decision_id, headers)
                return Waiting(pending, partial(directory.add, tx.client), decide)
        return self._decide(tx, generation, decision_id, headers, may_204)

    def _decide(
        self,
        tx: Transaction,
        generation: Generation,
        decision_id: str,
        headers: Mapping[bytes, bytes],
        may_204: bool,
    ) -> Answer:
        decision = tls = None
        status = 500
        directory = generation.directory
        try:
            decision, answer, tls = adapt(
                tx,
                generation.policy,
                generation.pages,
                decision_id,
                marks_connect=FRAGMENT in headers,
                refused=directory.asked and directory.refuses(tx.client),
            )
            if tx.request is not None and tx.request.method == "CONNECT":
                self.tunnels.concluded(headers, tx, generation.policy, decision, tls)
            status = 204 if may_204 and type(answer) is UseVirgin else 200
        finally:
            line = decision_line(
                tx, decision, decision_id=decision_id, url=display_url(tx), status=status, tls=tls
            )
            self.decisions.append(
                line if tx.request is None or tx.request.method != "CONNECT" else with_tunnel(line, tx)
            )
        return answer

    def warn(self, text: str, **fields: object) -> None:
        """Log a warning that a peer can cause: at most _MAX_WARNINGS a tick, the rest counted."""
        if self._warnings < _MAX_WARNINGS:
            self._warnings += 1
            self.log.warn(text, **fields)
        else:
            self._suppressed += 1
