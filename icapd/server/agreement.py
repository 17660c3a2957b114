"""Reload with workers: all load aside and say so, all stand still for a moment, all adopt; or none does.

A fresh nursery loads too: workers that start later come from it. What each has loaded must be the same, or
the files were changing meanwhile, and the old policy stays.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.logger import Logger

from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.server.reload import Reloaded, needs_restart

if TYPE_CHECKING:
    from collections.abc import Callable

    from icapd.server.channel import Channel, Message
    from icapd.server.crew import Place
    from icapd.server.supervisor import Supervisor

_LOAD = 280.0  # s for all to have loaded; `icapd reload` waits 300
_HOLD = 0.5  # s for all to stand still; less than a worker does
_CHANGING = "the files changed while they were read: reload again"
_log = Logger(namespace="icapd")


class Agreement:
    """Brings all workers to what the files say now."""

    def __init__(self, supervisor: Supervisor, reactor: Any) -> None:  # noqa: ANN401
        self._supervisor = supervisor
        self._reactor = reactor
        self._lock: DeferredLock = DeferredLock()
        self._round: _Round | None = None
        self._rounds = 0

    def reload(self) -> Deferred[Reloaded]:
        """Begin a reload; fires with how it ended, never with a failure."""
        return self._lock.run(self._reload)

    def heard(self, place: Place, message: Message) -> None:
        """A worker has said something about a reload."""
        if self._round is not None:
            self._round.heard(place, message)

    def joined(self, place: Place) -> None:
        """A worker has become ready: what is being agreed on concerns it too."""
        if self._round is not None:
            self._round.ask(place)

    def left(self, place: Place) -> None:
        """A worker is gone: nobody waits for it."""
        if self._round is not None:
            self._round.left(place)

    def _reload(self) -> Deferred[Reloaded]:
        supervisor = self._supervisor
        if supervisor.draining:
            return succeed(self._kept("icapd is stopping"))
        self._rounds += 1
        self._round = _Round(self._rounds, supervisor, self._reactor)
        return self._round.done.addBoth(self._ended)

    def _ended(self, result: object) -> Reloaded:
        found, self._round = self._round, None
        assert found is not None  # noqa: S101
        if isinstance(result, str):
            return self._kept(*result.splitlines())
        old, supervisor = self._supervisor.digest, self._supervisor
        changed = supervisor.key != found.key
        supervisor.adopted(found.key, found.digest, found.nursery, found.pid)
        supervisor.collecting.serve(found.config)
        what = "changed" if changed else "unchanged"
        _log.info("reloaded: policy {digest} ({what})", digest=found.digest, what=what)
        for note in found.notes:
            _log.warn("reload: {note}", note=note)
        return Reloaded(found.digest, old != found.digest, (), found.notes)

    def _kept(self, *problems: str) -> Reloaded:
        digest = self._supervisor.digest
        _log.error("reload refused, policy {digest} stays: {why}", digest=digest, why="; ".join(problems))
        return Reloaded(digest, changed=False, problems=problems)


class _Round:
    """One reload, the `number`th. `done` fires with None, or with what was wrong."""

    def __init__(self, number: int, supervisor: Supervisor, reactor: Any) -> None:  # noqa: ANN401
        self._number = number
        self.done: Deferred[object] = Deferred()
        self.key = self.digest = ""
        self.notes: tuple[str, ...] = ()
        self.config = supervisor.config
        self._supervisor = supervisor
        self._reactor = reactor
        self._waiting: set[Place | None] = {None}  # for whose word; None is the nursery
        self._phase = "loading"
        self._keys: dict[Place, str] = {}
        self._late = reactor.callLater(_LOAD, self._fail, f"not loaded within {_LOAD:.0f} s")
        self.nursery: Channel
        self.nursery, self.pid = supervisor.rear(self._nursery_heard, self._nursery_lost)
        for place in supervisor.places:
            if place.pid:
                self.ask(place)

    def ask(self, place: Place) -> None:
        """Have a worker load."""
        if self._phase == "loading":
            self._waiting.add(place)
            place.send({"kind": "load", "round": self._number})

    def left(self, place: Place) -> None:
        """A worker is gone."""
        self._keys.pop(place, None)
        self._heard_of(place)

    def heard(self, place: Place, message: Message) -> None:
        """Take a worker's word; what it still says of an earlier reload says nothing of this one."""
        if message.get("round", self._number) != self._number:
            return
        match message["kind"], self._phase:
            case "prepared", "loading":
                self._keys[place] = message["key"]
                self._heard_of(place)
            case "problems", "loading":
                self._fail(message["text"])
            case "held", "holding":
                self._heard_of(place)
            case "adopted", "adopting":
                place.key, place.digest = self.key, message["digest"]
                self._heard_of(place)

    def _nursery_heard(self, message: Message) -> None:
        if message["kind"] == "problems":
            self._fail(message["text"])
            return
        self.key, self.digest = message["key"], message["digest"]
        self._heard_of(None)

    def _nursery_lost(self) -> None:
        self._fail("the process that loads it ended unexpectedly")

    def _heard_of(self, place: Place | None) -> None:
        self._waiting.discard(place)
        if self._waiting or self._phase == "over":
            return
        if self._phase == "loading":
            self._loaded()
        elif self._phase == "holding":
            self._adopt()
        else:
            self._end(None)

    def _loaded(self) -> None:
        try:
            self.config = load_config(self._supervisor.config.file)
            self.notes = needs_restart(self._supervisor.config, self.config)
        except IcapdError:
            self._fail(_CHANGING)
            return
        if set(self._keys.values()) - {self.key}:
            self._fail(_CHANGING)
            return
        self._next("holding", "hold", _HOLD, self._adopt)

    def _adopt(self) -> None:
        self._next("adopting", "adopt", _LOAD, self._give_up)

    def _next(self, phase: str, order: str, seconds: float, late: Callable[[], None]) -> None:
        self._phase = phase
        self._late.cancel() if self._late.active() else None
        self._late = self._reactor.callLater(seconds, late)
        self._waiting = set(self._keys)
        for place in self._keys:
            place.send({"kind": order})
        if not self._waiting:
            self._heard_of(None)

    def _give_up(self) -> None:
        """Some did not adopt what they had prepared: others take their place."""
        for place in self._waiting:
            if place is not None:
                place.kill()
        self._end(None)

    def _fail(self, problems: str) -> None:
        if self._phase in {"loading", "holding"}:
            for place in self._supervisor.places:
                place.send({"kind": "drop"})
            if self.nursery.is_open:
                self.nursery.close()
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)  # it may be loading yet
            self._end(problems)

    def _end(self, result: object) -> None:
        if self._phase != "over":
            self._phase = "over"
            if self._late.active():
                self._late.cancel()
            self.done.callback(result)
