"""Whether icapd can serve, and what is amiss although it does: what /readyz tells."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icapd.metrics.snapshot import ListFile, ScannerFacts, Snapshot

_MAX_PROBLEMS = 5


def is_ready(one: Snapshot) -> bool:
    """Whether new connections are answered: not while it starts or drains, or has no worker.

    A scanner that is down does not count: what is not scanned is served, and `on_error` has said what
    becomes of the rest.
    """
    return not _missing(one)


def readiness(one: Snapshot) -> dict[str, object]:
    """Return what /readyz tells, as JSON."""
    missing = _missing(one)
    reloads = one.reloads
    last = "none" if reloads.at is None else "refused" if reloads.problems else "adopted"
    told: dict[str, object] = {
        "ready": not missing,
        "problems": missing,
        "degraded": _degraded(one),
        "policy": one.digest,
        "draining": one.draining,
        "workers": {"wanted": len(one.workers), "ready": sum(each.ready for each in one.workers)},
        "reload": {
            "result": last,
            "time": _time(reloads.at),
            "problems": list(reloads.problems[:_MAX_PROBLEMS]),
        },
        "scanners": [_scanner(one, each) for each in one.serving.scanners],
        "lists": [_list(one, each) for each in one.serving.lists],
    }
    if one.collector is not None:
        told["collector"] = {
            "up": one.collector.up,
            "outputs": [
                {
                    "output": each.name,
                    "lag": each.lag,
                    "lag_bytes": each.behind,
                    "failed": each.failed,
                }
                for each in one.collector.outputs
            ],
        }
    return told


def _scanner(one: Snapshot, each: ScannerFacts) -> dict[str, object]:
    return {
        "name": each.name,
        "kind": each.kind,
        "up": each.up,
        "why": each.why,
        "on_error": each.on_error,
        "version": each.version,
        "database": _time(each.database),
        "database_age": _age(one, each.database),
    }


def _list(one: Snapshot, each: ListFile) -> dict[str, object]:
    age = _age(one, each.modified)
    return {"list": each.list, "file": each.file, "time": _time(each.modified), "age": age}


def _missing(one: Snapshot) -> list[str]:
    found = []
    if one.draining:
        found.append("draining")
    elif not any(each.ready for each in one.workers):
        found.append("no worker serves")
    elif not one.accepting:
        found.append("starting")
    return found


def _degraded(one: Snapshot) -> list[str]:
    found = [
        f"scanner {each.name} is down ({each.on_error}): {each.why}"
        for each in one.serving.scanners
        if not each.up
    ]
    absent = sum(not each.ready for each in one.workers)
    if absent and absent < len(one.workers):
        found.append(f"{absent} of {len(one.workers)} workers do not serve")
    if one.reloads.problems:
        found.append("the last reload was refused")
    if one.collector is not None and not one.collector.up:
        found.append("the collector does not run")
    outputs = () if one.collector is None else one.collector.outputs
    found += [f"{each.name} takes no records: {each.failed}" for each in outputs if each.failed]
    return found


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _age(one: Snapshot, seconds: float | None) -> int | None:
    return None if seconds is None else max(0, int(one.now - seconds))
