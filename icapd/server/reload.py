"""Reload: another policy is built aside, checked whole, and adopted as one reference, or not at all.

Loading runs in a thread that gives way to traffic, and leaves out what has not changed; a broken policy
leaves the old one with one clear error. Transactions that have begun keep the generation they began with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.server.gently import gently
from icapd.server.keeping import load_kept
from icapd.server.shares import share_of
from icapd.server.site import load_generation

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

    from icapd.config import Config
    from icapd.server.site import Generation, Site

_log = Logger(namespace="icapd")


@dataclass(frozen=True, slots=True)
class Reloaded:
    """How a reload ended: without `problems` the policy `digest` now serves, else the old one still does."""

    digest: str
    changed: bool
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Reloader:
    """Reloads one site, one reload at a time; a second waits for the first and then sees the newest files."""

    def __init__(
        self, site: Site, workers: int = 1, adopted: Callable[[Config], object] = lambda _: None
    ) -> None:
        """`workers` share the configuration; `adopted` is told of each that is in force."""
        self._site = site
        self._workers = workers
        self._adopted = adopted
        self._lock: DeferredLock = DeferredLock()

    def reload(self) -> Deferred[Reloaded]:
        """Begin a reload; fires with how it ended, never with a failure."""
        return self._lock.run(self._reload)

    def _reload(self) -> Deferred[Reloaded]:
        if self._site.draining:
            return succeed(self._kept("icapd is stopping"))
        return self.prepare().addCallbacks(self._adopt, self._failed)

    def prepare(self) -> Deferred[tuple[Config, Generation]]:
        """Load what the files say now and start its scanners; nothing is adopted. Fails with IcapdError."""
        site = self._site
        loading: Deferred[tuple[Config, Generation]] = deferToThread(
            _load, site.config, site.generation, self._workers
        )
        return loading.addCallback(_started)

    def adopt(self, config: Config, generation: Generation) -> None:
        """Serve what was prepared, in one step."""
        site = self._site
        old = site.generation
        if generation.cache is not None:
            generation.cache.adopt(config.verdict_cache)
        site.replace(generation)
        site.record_policy()
        old.scans.retire(generation.scans)

    def _adopt(self, loaded: tuple[Config, Generation]) -> Reloaded:
        config, generation = loaded
        site = self._site
        changed = generation.istag != site.generation.istag
        notes = needs_restart(site.config, config)
        self.adopt(config, generation)
        self._adopted(config)
        _log.info(
            "reloaded: policy {digest} ({what})",
            digest=generation.policy.digest,
            what="changed" if changed else "unchanged",
        )
        for note in notes:
            _log.warn("reload: {note}", note=note)
        return Reloaded(generation.policy.digest, changed, (), notes)

    def _failed(self, failure: Failure) -> Reloaded:
        error = failure.value
        if isinstance(error, IcapdError):
            return self._kept(*str(error).splitlines())
        _log.failure("reload failed", failure)
        return self._kept(f"unforeseen: {type(error).__name__}")

    def _kept(self, *problems: str) -> Reloaded:
        digest = self._site.generation.policy.digest
        _log.error("reload refused, policy {digest} stays: {why}", digest=digest, why="; ".join(problems))
        return Reloaded(digest, changed=False, problems=problems)


def _load(old: Config, serving: Generation, workers: int) -> tuple[Config, Generation]:
    with gently():
        config = share_of(load_config(old.file), workers)
        load = load_kept if workers == 1 else load_generation
        return config, load(config, serving)


def _started(loaded: tuple[Config, Generation]) -> Deferred[tuple[Config, Generation]]:
    """Start the scanners; what does not start is never adopted."""
    return loaded[1].scans.start().addCallback(lambda _: loaded)


def needs_restart(old: Config, new: Config) -> tuple[str, ...]:
    """Return a note for each option that changed and cannot do so while icapd runs."""
    top = (
        "listen",
        "workers",
        "tls",
        "peers",
        "service",
        "limits",
        "decisions",
        "control",
        "metrics",
        "delivery",
        "spool",
    )
    withheld = ("strip_query", "anonymise", "users", "user_key")
    changed = [name for name in top if getattr(old, name) != getattr(new, name)]
    changed += [
        f"events.{name}" for name in withheld if getattr(old.events, name) != getattr(new.events, name)
    ]
    return tuple(f"`{name}` changed: it takes effect at the next restart" for name in changed)
