"""What is remembered of a directory, who is asking it, and whether it answers. No I/O and no clock here.

Each user is asked about once at a time. While the directory does not answer, what was known of a user
goes on to serve for a while; of others nothing is known, and one question now and then finds out when it
answers again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

Groups = tuple[str, ...]

MAX_ASKING = 1000  # users at a time; of more nothing is known until these are answered
_QUIET = 5.0  # seconds after a failure in which nobody asks; doubled by each further one, for
_MAX_QUIET = 60.0  # a wrong password tried too often locks the account


class Pending:
    """Groups that are being asked for. Each call given to `then` is made once, when they have come."""

    __slots__ = ("_calls", "groups", "settled")

    def __init__(self) -> None:
        self.settled = False
        self.groups: Groups | None = None
        self._calls: list[Callable[[Groups | None], None]] = []

    def then(self, call: Callable[[Groups | None], None]) -> None:
        """Have `call` made with the groups; with None if they could not be told."""
        if self.settled:
            call(self.groups)
        else:
            self._calls.append(call)

    def settle(self, groups: Groups | None) -> None:
        """Make the calls."""
        self.settled, self.groups = True, groups
        for call in self._calls:
            call(groups)
        self._calls.clear()


@dataclass(frozen=True, slots=True)
class Failed:
    """A question without an answer; `outage` tells whether others will fare no better."""

    why: str
    outage: bool


class Query(Protocol):
    """One question to the directory."""

    def __call__(self, login: str, bare: str, done: Callable[[Groups | Failed], None]) -> None:
        """Ask for the groups of a user; `done` is called once, later. () also for a user it does not know."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long answers hold, in seconds, and of how many users; `stale` adds to `ttl` in an outage."""

    ttl: float
    negative_ttl: float
    stale: float
    users: int


@dataclass(frozen=True, slots=True)
class _Known:
    groups: Groups | None
    fresh: float  # until when it serves
    usable: float  # until when it serves if nothing better can be had


class Lookups:
    """Answers from memory, or asks. `clock` gives seconds that never go back; `report` logs one line."""

    def __init__(
        self, query: Query, terms: Terms, clock: Callable[[], float], report: Callable[[str, bool], None]
    ) -> None:
        self._query = query
        self._terms = terms
        self._clock = clock
        self._report = report
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, Pending] = {}
        self._out = False
        self._quiet_until = 0.0
        self._quiet = _QUIET

    def ask(self, login: str, bare: str) -> Groups | Pending | None:
        """Return a user's groups, or what they will come by; None if they cannot be told now."""
        key = login.casefold()
        now = self._clock()
        known = self._known.get(key)
        if known is not None and now < known.fresh:
            return known.groups
        pending = self._asking.get(key)
        if pending is not None:
            return pending
        if len(self._asking) >= MAX_ASKING or (self._out and (self._asking or now < self._quiet_until)):
            return self._fallback(key, now)
        self._asking[key] = pending = Pending()
        self._query(login, bare, lambda answer: self._answered(key, answer))
        return pending.groups if pending.settled else pending

    def _fallback(self, key: str, now: float) -> Groups | None:
        known = self._known.get(key)
        return known.groups if known is not None and now < known.usable else None

    def _answered(self, key: str, answer: Groups | Failed) -> None:
        now = self._clock()
        if isinstance(answer, Failed):
            groups = self._fallback(key, now)
            if answer.outage:
                self._failed(answer.why, now)
            else:
                self._report(answer.why, False)
                self._remember(key, groups, now + self._terms.negative_ttl, now)
        else:
            if self._out:
                self._report("answers again", True)
            self._out, self._quiet = False, _QUIET
            groups = answer
            fresh = now + (self._terms.ttl if answer else self._terms.negative_ttl)
            self._remember(key, groups, fresh, fresh + self._terms.stale)
        self._asking.pop(key).settle(groups)

    def _failed(self, why: str, now: float) -> None:
        if not self._out:
            self._report(f"does not answer: {why}", False)
            self._quiet = _QUIET
            self._quiet_until = now + _QUIET
        elif now >= self._quiet_until:  # not the ones that were asked before the outage was known
            self._quiet = min(2 * self._quiet, _MAX_QUIET)
            self._quiet_until = now + self._quiet
        self._out = True

    def _remember(self, key: str, groups: Groups | None, fresh: float, usable: float) -> None:
        self._known.pop(key, None)  # the newest stand last
        self._known[key] = _Known(groups, fresh, usable)
        if len(self._known) > self._terms.users:
            del self._known[next(iter(self._known))]
