"""From a snapshot to the samples of every metric."""

from __future__ import annotations

import platform
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from icapd import __version__
from icapd.metrics import words as at
from icapd.metrics.readiness import is_ready

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from icapd.metrics.snapshot import Snapshot


class Sample(NamedTuple):
    """One number; `suffix` is of a histogram's."""

    labels: tuple[tuple[str, str], ...]
    value: float
    suffix: str = ""


_Told = tuple[str, "Mapping[str, str]", float]
_SIMPLE = {
    "unanswered_total": at.UNANSWERED,
    "options_total": at.OPTIONS,
    "received_bytes_total": at.RECEIVED,
    "sent_bytes_total": at.SENT,
    "connections_total": at.CONNECTIONS,
    "previews_total": at.PREVIEWS,
    "continues_total": at.CONTINUES,
    "late_blocks_total": at.LATE,
    "verdict_cache_hits_total": at.HITS,
    "verdict_cache_misses_total": at.MISSES,
    "verdict_cache_shared_total": at.SHARED,
    "verdict_cache_evicted_total": at.EVICTED,
}
_PASSING = (at.ALLOW, at.BYPASS)


def samples_of(snapshot: Snapshot) -> dict[str, list[Sample]]:
    """Return the samples by metric; a metric that does not apply has none."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for part in (_itself, _counted, _scanning, _policy, _processes):
        for name, labels, value in part(snapshot):
            found[f"icapd_{name}"].append(Sample(tuple(labels.items()), value))
    found["icapd_scan_duration_seconds"] = list(_durations(snapshot.words))
    return found


def _itself(one: Snapshot) -> Iterator[_Told]:
    yield "build_info", {"version": __version__, "python": platform.python_version()}, 1
    yield "start_time_seconds", {}, one.started
    yield "ready", {}, is_ready(one)
    yield "draining", {}, one.draining
    yield "open_connections", {}, sum(worker.connections for worker in one.workers)
    yield "strangers_total", {}, one.strangers + one.words[at.STRANGERS]
    yield "decision_lines_lost_total", {}, one.lost_lines


def _counted(one: Snapshot) -> Iterator[_Told]:
    words = one.words
    for name, place in _SIMPLE.items():
        yield name, {}, words[place]
    row = len(at.ACTIONS)
    quick = [words[at.QUICK + each] for each in range(len(at.POINTS) * row)]
    for p, point in enumerate(at.POINTS):
        for a, action in enumerate(at.ACTIONS):
            count = words[at.TRANSACTIONS + p * row + a] + quick[p * row + a]
            yield "transactions_total", {"point": point, "action": action}, count
    passed = sum(quick[p * row + a] for p in range(len(at.POINTS)) for a in _PASSING)
    beside = {"200": sum(quick) - passed, "204": passed}
    for s, status in enumerate(at.STATUSES):
        yield "responses_total", {"status": status}, words[at.RESPONSES + s] + beside.get(status, 0)
    for n, limit in enumerate(at.LIMITS):
        yield "limits_hit_total", {"limit": limit}, words[at.LIMIT + n]


def _scanning(one: Snapshot) -> Iterator[_Told]:
    words = one.words
    for c, cached in enumerate(("no", "yes")):
        for r, result in enumerate(at.RESULTS):
            count = words[at.SCANS + c * len(at.RESULTS) + r]
            yield "scans_total", {"result": result, "cached": cached}, count
    for k, kind in enumerate(at.KINDS):
        yield "findings_total", {"kind": kind.value}, words[at.FINDINGS + k]
    for why, place in (("late", at.CHILDREN_LATE), ("died", at.CHILDREN_DIED), ("busy", at.NO_CHILD)):
        yield "content_failures_total", {"why": why}, words[place]
    for row in at.adapters_of(words):
        for result, count in zip(at.RESULTS, row.results, strict=True):
            yield "scanner_scans_total", {"scanner": row.name, "result": result}, count
        yield "scanner_scan_seconds_total", {"scanner": row.name}, row.seconds
    for each in one.serving.scanners:
        labels = {"scanner": each.name, "kind": each.kind, "on_error": each.on_error}
        yield "scanner_up", labels, each.up
        yield "scanner_info", {"scanner": each.name, "version": each.version}, 1
        if each.database is not None:
            yield "scanner_database_timestamp_seconds", {"scanner": each.name}, each.database
    now = dict(zip(at.GAUGE_NAMES, words[at.GAUGES :], strict=True))
    yield "verdict_cache_entries", {}, now["cache_entries"]
    yield "verdict_cache_bytes", {}, now["cache_bytes"]
    yield "spool_bytes", {"place": "memory"}, now["spool_memory"]
    yield "spool_bytes", {"place": "disk"}, now["spool_disk"]
    yield "spool_waiting", {}, now["spool_waiting"]
    yield "content_children", {"state": "busy"}, now["children_busy"]
    yield "content_children", {"state": "free"}, now["children"] - now["children_busy"]
    yield "content_waiting", {}, now["bodies_waiting"]


def _policy(one: Snapshot) -> Iterator[_Told]:
    reloads = one.reloads
    yield "policy_info", {"digest": one.digest}, 1
    yield "reloads_total", {"result": "adopted"}, reloads.adopted
    yield "reloads_total", {"result": "refused"}, reloads.refused
    yield "last_reload_success", {}, not reloads.problems
    if reloads.at is not None:
        yield "last_reload_timestamp_seconds", {}, reloads.at
        yield "last_reload_duration_seconds", {}, reloads.seconds
    for file in one.serving.lists:
        yield "list_modified_timestamp_seconds", {"list": file.list, "file": file.file}, file.modified
    for name, end in one.certificates.items():
        yield "certificate_expiry_timestamp_seconds", {"certificate": name}, end


def _processes(one: Snapshot) -> Iterator[_Told]:
    yield "workers", {}, len(one.workers)
    yield "workers_ready", {}, sum(worker.ready for worker in one.workers)
    for worker in one.workers:
        labels = {"worker": str(worker.number)}
        yield "worker_restarts_total", labels, worker.restarts
        yield "worker_requests_total", labels, worker.requests
        yield "worker_connections", labels, worker.connections
    if one.collector is not None:
        yield "collector_up", {}, one.collector.up
        yield "collector_restarts_total", {}, one.collector.restarts
        for output in one.collector.outputs:
            to = {"output": output.name}
            yield "collector_output_up", to, not output.failed
            yield "collector_records_total", to, output.records
            yield "collector_lag_bytes", to, output.behind
            yield "collector_lag_seconds", to, output.lag
    for process in one.processes:
        labels = {"process": process.name}
        yield "process_resident_memory_bytes", labels, process.memory
        yield "process_open_fds", labels, process.fds
        if process.cpu is not None:
            yield "process_cpu_seconds_total", labels, process.cpu


def _durations(words: Sequence[int]) -> Iterator[Sample]:
    total = 0
    for n, bound in enumerate((*at.BOUNDS, float("inf"))):
        total += words[at.DURATIONS + n]
        label = "+Inf" if bound == float("inf") else f"{bound}"
        yield Sample((("le", label),), total, "_bucket")
    yield Sample((), words[at.DURATIONS + len(at.BOUNDS) + 1] / 1e6, "_sum")
    yield Sample((), total, "_count")
