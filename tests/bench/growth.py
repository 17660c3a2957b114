"""`python -m tests.bench.growth [part…]`: what more of it costs: rules, names on a list, connections, bytes, workers.

Each figure is icapd's own, whole: `icapd serve` under load, on one core unless it says so. CPU per request is the
figure to look at. `--big`: a list of ten million too (some minutes, 2 GB). `--page docs/benchmarks.md`: write the
page with what was measured, and with what its JSON says of the rest. Exit status 1: connections cost more than
promised, 2: something could not be measured.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.errors import IcapdError
from icapd.lists import load_lists
from icapd.policy import load_policy
from tests.bench import decisions, idle, lists, report
from tests.bench.domains import cache_directory, make_domains
from tests.bench.load import build_load, run_load
from tests.bench.page import growth_companion, write_page
from tests.bench.run import HAS_WORKERS, cores
from tests.bench.servers import START, policy_document
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.bench.load import Sample
    from tests.bench.report import Document
    from tests.serving import Served

Row = dict[str, float]
SIZES = (1024, 16 << 10, 64 << 10, 1 << 20, 10 << 20, 64 << 20)
_REQMOD = ("-m", "reqmod", "-a", "204", "-c", "16")
_PACE = 1000  # requests a second, beside idle connections


@dataclass(frozen=True, slots=True)
class Trial:
    """How to measure: the generator, a place for files, s of a run, how many runs, names on a list, rules."""

    program: Path
    directory: Path
    seconds: float
    rounds: int
    names: int
    counts: Sequence[int]
    sizes: Sequence[int]
    idle: Sequence[int]

    @contextmanager
    def served(
        self, policy: Mapping[str, object] | Path, *, core: int | None = None, **options: object
    ) -> Iterator[Served]:
        """Serve a policy, or the one of a file, from a new folder."""
        place = Path(tempfile.mkdtemp(dir=self.directory))
        if isinstance(policy, Path):
            policy, options = {}, {**options, "policy": str(policy)}
        with serving(place, policy=policy, options=options, core=core, start_seconds=START) as served:
            yield served

    def load(
        self, served: Served, *arguments: str, service: str = "reqmod", core: int | None = None
    ) -> Sample:
        """Return the run of median rate. Raises IcapdError when any answer was wrong."""
        runs = [
            run_load(
                self.program, arguments, port=served.icap, service=service, pids=(served.pid,),
                seconds=self.seconds, core=core,
            )
            for _ in range(self.rounds)
        ]  # fmt: skip
        if errors := sum(run.errors for run in runs):
            raise IcapdError(f"{errors} answers were wrong")
        return sorted(runs, key=lambda run: run.rate)[len(runs) // 2]


def rules(trial: Trial) -> list[Row]:
    """Ask policies of more and more rules that do not match, and a list."""
    domains, rows = make_domains(cache_directory(), trial.names), []
    raw = decisions.heads(domains.missing.read_text().split())
    for count in trial.counts:
        path = decisions.write_policy(trial.directory, count, domains.listed)
        load_policy(path)
        begun = time.perf_counter()
        policy = load_policy(path)
        loaded = time.perf_counter() - begun
        with trial.served(path, core=cores().server) as served:
            sample = trial.load(served, *_REQMOD, "-H", str(domains.missing), core=cores().load)
        rows.append(
            {
                "rules": count,
                "load s": loaded,
                "decision µs": decisions.cost(policy, raw),
                "cpu µs": sample.cpu,
                "req/s": sample.rate,
                "p99 µs": sample.p99,
                "memory MB": sample.memory,
            }
        )
    return rows


def sizes_of_lists(trial: Trial) -> list[Row]:
    """Ask lists of more and more names."""
    rows = []
    count = min(10_000, trial.names)
    while count <= trial.names:
        domains = make_domains(cache_directory(), count)
        index = lists.measure_index(domains, count)
        load_lists({"listed": [domains.listed]})
        with trial.served(policy_document(domains, 200), core=cores().server) as served:
            sample = trial.load(served, *_REQMOD, "-H", str(domains.missing), core=cores().load)
        taken = ("build s", "open ms", "shared MB", "hit us", "miss us")
        rows.append(
            {
                "names": count,
                **{name.replace("us", "µs"): float(index[name]) for name in taken},
                "cpu µs": sample.cpu,
                "req/s": sample.rate,
                "memory MB": sample.memory,
            }
        )
        count *= 10
    return rows


def connections(trial: Trial) -> list[Row]:
    """Hold more and more connections that say nothing, and ask beside them at an equal rate.

    Raises IcapdError when the system's limit of open files is too low for the most.
    """
    most = max(trial.idle)
    idle.raise_limit(most)
    rows: list[Row] = []
    paced = (*_REQMOD, "-r", str(_PACE))
    with trial.served(
        {"access": []}, core=cores().server, limits={"connections": most + 100, "drain": "2"}
    ) as served:
        trial.load(served, *paced, core=cores().load)  # what the first transactions need is not theirs
        before = idle.resident(served.pid)
        for count in trial.idle:
            with idle.held(served.pid, served.icap, count):
                per_idle = (idle.resident(served.pid) - before) / count if count else 0.0
                runs = [trial.load(served, *paced, core=cores().load) for _ in range(3)]
            rows.append(
                {
                    "idle": count,
                    "kB each": per_idle,
                    "p50 µs": statistics.median(run.p50 for run in runs),
                    "p99 µs": min(run.p99 for run in runs),
                    "cpu µs": statistics.median(run.cpu for run in runs),
                    "memory MB": runs[-1].memory,
                }
            )
    return rows


def bodies(trial: Trial) -> list[Row]:
    """Pass larger and larger bodies through."""
    rows = []
    with trial.served({"access": []}, core=cores().server) as served:
        for size in trial.sizes:
            arguments = ("-m", "respmod", "-b", str(size), "-c", "8" if size > 1 << 20 else "16", "-e", "200")
            sample = trial.load(served, *arguments, service="respmod", core=cores().load)
            rows.append(
                {
                    "bytes": size,
                    "req/s": sample.rate,
                    "MB/s": sample.megabytes,
                    "cpu µs": sample.cpu,
                    "first byte µs": sample.first_byte,
                    "memory MB": sample.memory,
                }
            )
    return rows


def workers(trial: Trial) -> list[Row]:
    """Serve with more workers. Raises IcapdError while icapd has none."""
    if not HAS_WORKERS:
        raise IcapdError("icapd.yaml has no `workers` yet")
    domains, rows = make_domains(cache_directory(), trial.names), []
    for count in sorted({1, 2, len(os.sched_getaffinity(0))}):
        with trial.served(policy_document(domains, 200), workers=count) as served:
            sample = trial.load(served, "-m", "reqmod", "-a", "204", "-c", "64", "-H", str(domains.quarter))
        rows.append(
            {
                "workers": count,
                "req/s": sample.rate,
                "cpu µs": sample.cpu,
                "p50 µs": sample.p50,
                "p99 µs": sample.p99,
                "memory MB": sample.memory,
            }
        )
    return rows


PARTS = {
    "rules": rules,
    "lists": sizes_of_lists,
    "connections": connections,
    "bodies": bodies,
    "workers": workers,
}


def measure(trial: Trial, parts: Sequence[str]) -> Document:
    """Run the parts; one that cannot be measured is a note."""
    document: Document = {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": report.machine(),
        "load_before": os.getloadavg()[0],
        "notes": [],
    }
    for part in parts:
        print(f"{part} …", file=sys.stderr)
        try:
            document[part] = PARTS[part](trial)
        except IcapdError as error:
            document["notes"].append(f"{part}: not measured: {error}")
    if "connections" in document:
        document["notes"] += idle.judge(document["connections"])
    return document


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--tiny", action="store_true", help="sizes that prove only that it works")
    parser.add_argument("--big", action="store_true", help="a list of ten million too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write the page, its JSON beside it, and plots"
    )
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    directory = Path(tempfile.mkdtemp(prefix="icapd-growth-"))
    try:
        program = build_load(cache_directory())
        names = 10_000_000 if given.big else 1_000_000
        trial = (
            Trial(program, directory, 0.1, 1, 2_000, (10, 50), (1024, 65536), (0, 200))
            if given.tiny
            else Trial(program, directory, 1.0, 3, names, (50, 200, 1000, 5000), SIZES, (0, 1000, 10_000))
        )
        document = measure(trial, given.parts or list(PARTS))
    except IcapdError as error:
        print(f"growth: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(json.dumps(document, indent=1, ensure_ascii=False))
    if given.json:
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    if given.page:
        kept = growth_companion(given.page)
        before = json.loads(kept.read_text()) if kept.exists() and given.parts else {}
        write_page(given.page, growth={**before, **document})
    return 1 if any("missed" in note for note in document["notes"]) else 2 if document["notes"] else 0


if __name__ == "__main__":
    sys.exit(main())
