"""How all of icapd is at the moment, for the metrics: what serves, and what is known beside that."""

from __future__ import annotations

import datetime as dt
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from twisted.internet.ssl import Certificate

from icapd.metrics.processes import processes, started
from icapd.metrics.snapshot import ReloadFacts, Snapshot, WorkerFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.defer import Deferred

    from icapd.config import Config
    from icapd.server.collecting import Collecting
    from icapd.server.gathering import Gathering
    from icapd.server.reload import Reloaded
    from icapd.server.site import Site

_FIRST = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)
_LOOK = 300.0  # s between two looks at certificates


class _Reloads(Protocol):
    def reload(self) -> Deferred[Reloaded]: ...


@dataclass(slots=True)
class Remembered:
    """Reloads of `inner`, remembered as `facts`."""

    inner: _Reloads
    facts: ReloadFacts = field(default_factory=ReloadFacts)

    def reload(self) -> Deferred[Reloaded]:
        """Begin a reload; fires with how it ended."""
        begun = time.monotonic()

        def ended(result: Reloaded) -> Reloaded:
            problems = tuple(getattr(result, "problems", ("unforeseen",)))
            self.facts = ReloadFacts(
                self.facts.adopted + (not problems),
                self.facts.refused + bool(problems),
                time.time(),  # noqa: TID251  # the server's clock
                time.monotonic() - begun,
                problems,
            )
            return result

        return self.inner.reload().addBoth(ended)


def snapshot_of(site: Site, gathering: Gathering, *, accepting: bool) -> Snapshot:
    """Return how a single process is."""
    count = len(site.connections)
    return Snapshot(
        0.0,
        0.0,
        site.generation.policy.digest,
        (WorkerFacts(0, True, count, site.decided),),
        accepting,
        site.draining,
        site.decisions.lost,
        words=list(gathering.words()),
        serving=gathering.serving(),
    )


def _end_of(pem: bytes) -> float:
    """Return when the first certificate of a PEM file ends, in seconds of the epoch. Raises what it likes."""
    match = _FIRST.search(pem)
    if match is None:
        raise ValueError("no certificate")
    text = Certificate.loadPEM(match[0]).original.get_notAfter().decode("ascii")
    return dt.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=dt.UTC).timestamp()


class Overview:
    """Snapshots: `look` says how what serves is; the rest is added. `pids` names the workers' processes."""

    def __init__(
        self,
        config: Config,
        look: Callable[[], Snapshot],
        reloads: Remembered,
        collecting: Collecting,
        pids: Callable[[], Mapping[int, str]] = dict,
    ) -> None:
        self._config = config
        self._look = look
        self._reloads = reloads
        self._pids = pids
        self._started = started(os.getpid())
        self._collecting = collecting
        self._ends: dict[str, float] = {}
        self._looked = float("-inf")

    def snapshot(self) -> Snapshot:
        """Return how it is now."""
        named = {os.getpid(): "main", **self._pids(), **self._collecting.pids()}
        return replace(
            self._look(),
            started=self._started,
            now=time.time(),  # noqa: TID251  # the server's clock
            reloads=self._reloads.facts,
            certificates=self._certificates(),
            processes=processes(named, os.getpid()),
            collector=self._collecting.facts(),
        )

    def _certificates(self) -> Mapping[str, float]:
        """Return when they end: those that can be read, as they are in their files."""
        now = time.monotonic()
        if now - self._looked >= _LOOK:
            self._looked = now
            config = self._config
            files = {"ca": config.squid.ca.with_suffix(".crt")}  # without the key, which is not ours to read
            if config.tls is not None:
                files["icaps"] = config.tls.certificate
            self._ends = {}
            for name, file in files.items():
                with suppress(Exception):  # whatever is wrong with a file, it is told by who uses it
                    self._ends[name] = _end_of(file.read_bytes())
        return self._ends
