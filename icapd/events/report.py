"""A period of the event store in figures: what was asked, what was blocked, by which rules, for whom.

One pass over the period, by the index on time, copies its narrow columns to a temporary table, which SQLite
keeps in a file where it is large; every list is grouped from that, so memory does not grow with the period.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from icapd.events.privacy import network_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_STEPS = (60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86_400, 7 * 86_400, 28 * 86_400)  # s
_MAX_SLOTS = 62  # of a plot: a month of days, twice
_MAX_RULES = 5000  # as many as a policy may have
_MAX_SOURCES = 10_000  # lives of serving processes that are looked at for gaps


@dataclass(frozen=True, slots=True)
class Period:
    """`since` to before `until`, s since the epoch; `shift`: s that local time is ahead of UTC."""

    since: float
    until: float
    shift: int = 0

    @property
    def step(self) -> int:
        """How long a slot of a plot is, in seconds: a unit that clocks and calendars have."""
        length = self.until - self.since
        return next((step for step in _STEPS if length <= step * _MAX_SLOTS), int(length // _MAX_SLOTS) + 1)

    @property
    def origin(self) -> int:
        """When the first slot begins: a whole number of steps in local time, at or before `since`."""
        return int((self.since + self.shift) // self.step * self.step) - self.shift

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return max(1, -int((self.origin - self.until) // self.step))


@dataclass(frozen=True, slots=True)
class Slot:
    """One step of time: what passed, what was blocked (refused too), redirected, or could not be decided."""

    begins: float
    passed: int = 0
    blocked: int = 0
    redirected: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All decisions in it."""
        return self.passed + self.blocked + self.redirected + self.failed


@dataclass(frozen=True, slots=True)
class Tally:
    """A user, client, host or category: how many requests, and decisions (also on responses) that blocked."""

    name: str
    requests: int
    blocked: int


@dataclass(frozen=True, slots=True)
class RuleTally:
    """A rule that decided: how often, when last; `shadow`, how often it would have done so in shadow mode."""

    stage: str
    name: str
    source: str
    action: str
    count: int
    shadow: int = 0
    last: float = 0.0


@dataclass(frozen=True, slots=True)
class ThreatTally:
    """A threat: how often, how often let through, when last, and of which host then."""

    name: str
    count: int
    passed: int
    last: float
    host: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Records by what they are. A request may have two: its own, and its response's.

    `again`: a CONNECT that Squid asked for once more, counted nowhere else. `tunnels` are among `requests`.
    """

    requests: int = 0
    tunnels: int = 0
    responses: int = 0
    allowed: int = 0
    bypassed: int = 0
    blocked: int = 0
    refused: int = 0
    redirected: int = 0
    errors: int = 0
    threats: int = 0
    scanned: int = 0
    unscanned: int = 0
    late: int = 0
    again: int = 0
    users: int = 0
    clients: int = 0
    hosts: int = 0


@dataclass(frozen=True, slots=True)
class Gaps:
    """Numbers missing in the sequences of records, and how many of them records of loss explain."""

    missing: int = 0
    explained: int = 0
    why: tuple[tuple[str, int], ...] = ()

    @property
    def unexplained(self) -> int:
        """How many records are missing that nothing accounts for."""
        return max(0, self.missing - self.explained)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a report shows, the most frequent first; `first` is the store's oldest record.

    `policies`: when each policy began to be served, and its digest; once for all processes.
    """

    period: Period
    first: float | None
    totals: Totals
    gaps: Gaps
    slots: tuple[Slot, ...]
    users: tuple[Tally, ...]
    clients: tuple[Tally, ...]
    hosts: tuple[Tally, ...]
    blocked_hosts: tuple[Tally, ...]
    categories: tuple[Tally, ...]
    rules: tuple[RuleTally, ...]
    threats: tuple[ThreatTally, ...]
    policies: tuple[tuple[float, str], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was decided in the period."""
        return not self.totals.requests and not self.totals.responses


# A row's JSON has what its columns do not say, without blanks; in a text of it a quote has a backslash.
COPY = """
CREATE TEMP TABLE asked AS SELECT
  time, CAST((time - :origin) / :step AS INTEGER) AS slot, point = 'reqmod' AS request, method, host,
  CASE WHEN :anonymise THEN network_of(client) ELSE client END AS client,
  CASE WHEN NOT :anonymise THEN user END AS user, action,
  action IN ('block', 'refuse') AS blocked, stage, rule, category, threat,
  instr(COALESCE(json, ''), '"again":') > 0 AS again,
  instr(COALESCE(json, ''), '"late":') > 0 AS late,
  instr(COALESCE(json, ''), '"unscanned":["') > 0 AS unscanned,
  CASE WHEN instr(json, '"scan":') THEN json_extract(json, '$.scan') END AS scan,
  CASE WHEN rule IS NOT NULL THEN json_extract(json, '$.source') END AS place,
  CASE WHEN instr(json, '"shadow":') + instr(json, '"tls_shadow":') + instr(json, '"tls_rule":') THEN json END
    AS more
FROM records INDEXED BY records_time WHERE time >= :since AND time < :until AND action IS NOT NULL
"""
_POLICIES = """
SELECT time, json_extract(json, '$.digest') FROM records
WHERE event = 'policy' AND time >= :since AND time < :until ORDER BY time
"""
_TOTALS = """
SELECT SUM(request), SUM(request AND method = 'CONNECT'), SUM(NOT request), SUM(action = 'allow'),
  SUM(action = 'bypass'), SUM(action = 'block'), SUM(action = 'refuse'), SUM(action = 'redirect'),
  SUM(action = 'error'), SUM(COALESCE(threat, '') != ''), SUM(scan IN ('scanned', 'cached')), SUM(unscanned),
  SUM(late), (SELECT COUNT(*) FROM asked WHERE again), COUNT(DISTINCT user), COUNT(DISTINCT client),
  COUNT(DISTINCT host)
FROM asked WHERE NOT again
"""
_SLOTS = """
SELECT slot, SUM(action IN ('allow', 'bypass')), SUM(blocked), SUM(action = 'redirect'), SUM(action = 'error')
FROM asked WHERE NOT again GROUP BY slot
"""
_TOP = """
SELECT {0}, SUM(request), SUM(blocked) FROM asked WHERE NOT again AND COALESCE({0}, '') != ''
GROUP BY {0} HAVING SUM({1}) > 0 ORDER BY SUM({1}) DESC, COUNT(*) DESC, {0} LIMIT :top
"""
_RULES = """
SELECT stage, rule, MAX(place), MIN(action), COUNT(*), MAX(time) FROM asked
WHERE NOT again AND rule IS NOT NULL AND stage != 'notice' GROUP BY stage, rule LIMIT :rules
"""
_TLS = """
SELECT json_extract(more, '$.tls_rule'), MIN(json_extract(more, '$.tls')), COUNT(*), MAX(time) FROM asked
WHERE NOT again AND more IS NOT NULL AND json_extract(more, '$.tls_rule') IS NOT NULL GROUP BY 1 LIMIT :rules
"""
_SHADOW = """
SELECT :stage, json_extract(one.value, '$.rule'), MAX(json_extract(one.value, '$.source')),
  MIN(json_extract(one.value, '$.action')), COUNT(*), MAX(time)
FROM asked, json_each(asked.more, :path) AS one WHERE NOT again AND more IS NOT NULL GROUP BY 2 LIMIT :rules
"""
_THREATS = """
SELECT threat, COUNT(*), SUM(action IN ('allow', 'bypass')), MAX(time), host FROM asked
WHERE NOT again AND COALESCE(threat, '') != '' GROUP BY threat ORDER BY COUNT(*) DESC, threat LIMIT :top
"""
SOURCES = """
SELECT source, MIN(seq), MAX(seq) FROM records INDEXED BY records_time
WHERE time >= :since AND time < :until AND seq IS NOT NULL GROUP BY source LIMIT :sources
"""
HELD = "SELECT COUNT(*) FROM records WHERE source = ? AND seq BETWEEN ? AND ?"
# Of a source all that tell of numbers from :low to :high, whenever they were written; of none those in time.
LOST = """
SELECT json_extract(json, '$.count'), json_extract(json, '$.why') FROM records
WHERE source = :source AND seq IS NULL AND event = 'lost' AND json_extract(json, '$.before') > :low
  AND json_extract(json, '$.before') <= :high + 1
"""
_LOST_OF_NONE = """
SELECT json_extract(json, '$.count'), json_extract(json, '$.why') FROM records
WHERE source IS NULL AND event = 'lost' AND time >= :since AND time < :until
"""


def make_report(
    database: sqlite3.Connection, period: Period, top: int = 10, *, anonymise: bool = False
) -> Report:
    """Read the figures of `period` from a store's database; lists have at most `top` lines, but for rules.

    `anonymise`: networks (/24, /48) for clients, and no users. Raises sqlite3.Error.
    """
    names: dict[str, Any] = {
        "since": period.since, "until": period.until, "origin": period.origin, "step": period.step,
        "anonymise": anonymise, "top": top, "rules": _MAX_RULES, "sources": _MAX_SOURCES,
    }  # fmt: skip
    database.create_function(
        "network_of", 1, lambda client: client and network_of(client), deterministic=True
    )
    # half a surrogate pair, escaped in JSON, comes out of SQLite as no UTF-8
    database.text_factory = lambda text: text.decode("utf-8", "replace")
    database.execute("DROP TABLE IF EXISTS temp.asked")
    database.execute(COPY, names)
    report = _report(database, period, names)
    database.execute("DROP TABLE temp.asked")
    return report


def _report(database: sqlite3.Connection, period: Period, names: dict[str, Any]) -> Report:
    totals = Totals(*(value or 0 for value in database.execute(_TOTALS).fetchone()))
    users, clients, hosts, stopped, categories = (
        _tallies(database, column, by, names)
        for column, by in (
            ("user", "request"),
            ("client", "request"),
            ("host", "request"),
            ("host", "blocked"),
            ("category", "blocked"),
        )
    )
    return Report(
        period,
        database.execute("SELECT MIN(time) FROM records").fetchone()[0],
        totals,
        _gaps(database, names),
        tuple(_slots(database, period)),
        users,
        clients,
        hosts,
        stopped,
        categories,
        _rules(database, names),
        tuple(
            ThreatTally(name, count, passed, last, host or "")
            for name, count, passed, last, host in database.execute(_THREATS, names)
        ),
        tuple(_policies(database, names)),
    )


def _tallies(database: sqlite3.Connection, column: str, by: str, names: dict[str, Any]) -> tuple[Tally, ...]:
    return tuple(
        Tally(str(row[0]), row[1], row[2]) for row in database.execute(_TOP.format(column, by), names)
    )


def _slots(database: sqlite3.Connection, period: Period) -> Iterator[Slot]:
    found = {row[0]: row[1:] for row in database.execute(_SLOTS)}
    for number in range(period.slots):
        yield Slot(period.origin + number * period.step, *found.get(number, ()))


def _policies(database: sqlite3.Connection, names: dict[str, Any]) -> Iterator[tuple[float, str]]:
    last = None
    for time, digest in database.execute(_POLICIES, names):
        if digest != last:
            yield time, str(digest)
        last = digest


def _rules(database: sqlite3.Connection, names: dict[str, Any]) -> tuple[RuleTally, ...]:
    """Return every rule that decided or would have, also of tls; shadow rules of no known stage have ""."""
    found = [
        RuleTally(stage, rule, place or "", action, count, last=last)
        for stage, rule, place, action, count, last in database.execute(_RULES, names)
    ]
    found += [
        RuleTally("tls", rule, "", action or "", count, last=last)
        for rule, action, count, last in database.execute(_TLS, names)
    ]
    for stage, path in (("", "$.shadow"), ("tls", "$.tls_shadow")):
        found += [
            RuleTally(shown, rule, place or "", action or "", 0, count, last)
            for shown, rule, place, action, count, last in database.execute(
                _SHADOW, {**names, "stage": stage, "path": path}
            )
        ]
    return tuple(sorted(found, key=lambda one: (-one.count - one.shadow, one.stage, one.name)))


def _gaps(database: sqlite3.Connection, names: dict[str, Any]) -> Gaps:
    """Count what is missing between the first and the last record of each source in the period.

    Numbers are given in the order of the log, times when a request came: all of that source between the two
    numbers are looked for, of whatever time.
    """
    missing = 0
    told = database.execute(_LOST_OF_NONE, names).fetchall()
    for source, low, high in database.execute(SOURCES, names).fetchall():
        gap = high - low + 1 - database.execute(HELD, (source, low, high)).fetchone()[0]
        missing += gap
        if gap:
            told += database.execute(LOST, {"source": source, "low": low, "high": high}).fetchall()
    why: dict[str, int] = {}
    for count, reason in told:
        if isinstance(count, int):
            why[str(reason)] = why.get(str(reason), 0) + count
    explained = min(missing, sum(why.values()))
    return Gaps(missing, explained, tuple(sorted(why.items(), key=lambda one: -one[1])))
