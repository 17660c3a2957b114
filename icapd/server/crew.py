"""The workers, as the supervisor has them: each in its place, replaced when it dies."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from icapd.metrics.snapshot import Serving, WorkerFacts
from icapd.server.channel import Channel, pair
from icapd.server.ledger import CLOSED, Ledger, make_ledger

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from icapd.server.channel import Message

STEADY = 1.0  # s that a worker has served; if it dies then, another starts at once
_BACKOFF = (0.1, 10.0)  # s before the next start, doubled with each that died sooner
_log = Logger(namespace="icapd")


class Place:
    """One worker's place: who has it now, and what is counted of all who had it."""

    def __init__(self, number: int, reactor: Any) -> None:  # noqa: ANN401
        self.number = number
        self.ledger: Ledger = make_ledger()
        self.channel: Channel | None = None
        self.pid = 0  # 0: not ready
        self.key = ""  # of what it serves
        self.digest = ""
        self.serving = Serving()  # what it told last
        self.handed = 0  # connections
        self.restarts = 0
        self._reactor = reactor
        self._delay = 0.0
        self._since = 0.0

    @property
    def open(self) -> int:
        """Connections it has."""
        return self.handed - self.ledger.closed

    def spawn(
        self, nursery: Channel, heard: Callable[[Place, Message], None], lost: Callable[[Place], None]
    ) -> None:
        """Have a worker forked for it."""
        ours, theirs = pair()
        self.handed = 0
        self.ledger.words[CLOSED] = 0
        self.channel = Channel(
            ours, self._reactor, lambda message, _: heard(self, message), lambda: lost(self)
        )
        with theirs:
            if nursery.send({"kind": "spawn", "worker": self.number}, theirs.fileno()):
                theirs.detach()

    def is_ready(self, message: Message) -> None:
        """It serves."""
        self.pid, self.key, self.digest = message["pid"], message["key"], message["digest"]
        self._since = self._reactor.seconds()

    def take(self, connection: socket.socket, scheme: str, *, crowded: bool) -> bool:
        """Hand it a connection; `crowded`: one too many, to be told so. False if it has died."""
        family = int(connection.family)
        message = {"kind": "take", "scheme": scheme, "family": family, "crowded": crowded}
        if self.channel is None or not self.channel.send(message, connection.fileno()):
            return False
        connection.detach()  # the channel closes it
        self.handed += 1
        return True

    def send(self, message: Message) -> None:
        """Tell it something, if there is anybody."""
        if self.channel is not None:
            self.channel.send(message)

    def kill(self) -> None:
        """End it now; its channel tells when it is gone."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def vacate(self) -> float:
        """It is gone. Return after how many seconds another is to start."""
        served = self.pid and self._reactor.seconds() - self._since >= STEADY
        first, most = _BACKOFF
        delay, self._delay = self._delay, 0.0 if served else min(most, max(first, 2 * self._delay))
        self.pid, self.channel, self.handed = 0, None, 0
        self.ledger.words[CLOSED] = 0
        self.ledger.quiet()
        self.restarts += 1
        return 0.0 if served else delay

    def facts(self) -> WorkerFacts:
        """Return what the metrics tell of it."""
        return WorkerFacts(self.number, bool(self.pid), self.open, self.ledger.requests, self.restarts)

    def status(self) -> dict[str, object]:
        """Return what there is to tell."""
        return {
            "worker": self.number,
            "pid": self.pid,
            "connections": self.open,
            "requests": self.ledger.requests,
            "lost_lines": self.ledger.lost,
            "restarts": self.restarts,
            "digest": self.digest,
        }


def by_room(places: list[Place]) -> list[Place]:
    """Return the places whose workers are ready, that with the fewest connections first."""
    return sorted((place for place in places if place.pid), key=lambda place: place.open)
