"""Which sites cannot be decrypted, since programs refuse every certificate but their own: from Squid's log.

A client that refuses says so in the handshake (alerts such as "unknown ca"), or closes without a word. One
refusal proves nothing: a device without the CA refuses all sites, and an attacker can forge any. So a site is
proposed only if several clients refuse it, each of which accepts the certificate of other sites, and none
accepts it for this one. Pure: entries in, findings out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from icapd.squid.accesslog import REFUSALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from icapd.squid.accesslog import Entry

_QUIET = "closed after the handshake"
_SURE = frozenset({*REFUSALS.values(), "closed"})


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How much is enough: `clients` that refuse, `times` that each of them did at least, both ≥ 1."""

    clients: int = 2
    times: int = 2


@dataclass(frozen=True, slots=True)
class Pinned:
    """The evidence on one host. `reasons` count by what was said, `first` and `last` in s since the epoch.

    `accepts` are clients that do accept its certificate: where there are any, nothing is proposed.
    """

    host: str
    clients: tuple[str, ...]
    accepts: tuple[str, ...]
    reasons: tuple[tuple[str, int], ...]
    first: float
    last: float

    @property
    def times(self) -> int:
        """How often it was refused."""
        return sum(count for _, count in self.reasons)


@dataclass(frozen=True, slots=True)
class Detected:
    """What a log tells: hosts `proposed` and `doubtful`; `strangers`: clients that trust the CA nowhere."""

    proposed: tuple[Pinned, ...]
    doubtful: tuple[Pinned, ...]
    strangers: tuple[tuple[str, int], ...]
    entries: int


@dataclass(slots=True)
class _Pair:
    """One client and one host."""

    reasons: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    first: float = 0.0
    last: float = 0.0

    def refused(self, why: str, time: float) -> None:
        self.first = min(self.first or time, time)
        self.last = max(self.last, time)
        self.reasons[why] += 1


def detect(entries: Iterable[Entry], thresholds: Thresholds) -> Detected:
    """Find the hosts whose clients refuse to be decrypted, most refusals first."""
    pairs: dict[tuple[str, str], _Pair] = {}
    count = 0
    for entry in entries:
        count += 1
        if entry.host is not None:
            _take(pairs.setdefault((entry.client, entry.host), _Pair()), entry)
    accepting = {client for (client, _), pair in pairs.items() if pair.accepted}
    strangers = Counter[str]()
    for (client, _), pair in pairs.items():
        if client not in accepting and pair.reasons.total():
            strangers[client] += pair.reasons.total()
    hosts = sorted(_hosts(pairs, accepting, thresholds), key=lambda one: (-one.times, one.host))
    return Detected(
        tuple(one for one in hosts if not one.accepts),
        tuple(one for one in hosts if one.accepts),
        tuple(strangers.most_common()),
        count,
    )


def _take(pair: _Pair, entry: Entry) -> None:
    if entry.method != "CONNECT":
        if entry.status and entry.refusal is None:
            pair.accepted += 1  # a request came through the tunnel, whatever its answer
    elif entry.bump != "bump" or entry.denied:
        return
    elif entry.refusal in _SURE:
        pair.refused(entry.refusal, entry.time)
    elif entry.refusal is None and entry.status == 200:  # noqa: PLR2004
        pair.refused(_QUIET, entry.time)  # so far: if a request follows, the pair has accepted


def _hosts(
    pairs: dict[tuple[str, str], _Pair], accepting: set[str], thresholds: Thresholds
) -> Iterator[Pinned]:
    by_host: dict[str, list[tuple[str, _Pair]]] = {}
    for (client, host), pair in pairs.items():
        by_host.setdefault(host, []).append((client, pair))
    for host, asked in by_host.items():
        refusing = [
            (client, pair)
            for client, pair in asked
            if client in accepting and not pair.accepted and pair.reasons.total() >= thresholds.times
        ]
        if len(refusing) < thresholds.clients:
            continue
        reasons = Counter[str]()
        for _, pair in refusing:
            reasons.update(pair.reasons)
        yield Pinned(
            host,
            tuple(sorted(client for client, _ in refusing)),
            tuple(sorted(client for client, pair in asked if pair.accepted)),
            tuple(reasons.most_common()),
            min(pair.first for _, pair in refusing),
            max(pair.last for _, pair in refusing),
        )
