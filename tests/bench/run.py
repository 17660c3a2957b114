"""Start the servers, run the scenarios A B A B, collect."""

from __future__ import annotations

import itertools
import math
import os
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.load import Sample, run_load
from tests.bench.report import Result
from tests.bench.servers import Server, Setup, c_icap, clamd, icapd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.bench.domains import Domains
    from tests.bench.scenarios import Scenario

_SIGMAS = 5.0  # a run goes through a shuffled list in part: the share of blocks it saw is a sample


@dataclass(frozen=True, slots=True)
class Plan:
    """One measurement: what to run, how long each run is, and when to stop whatever is left."""

    scenarios: Sequence[Scenario]
    seconds: float
    rounds: int
    limit: float
    rules: int


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the servers and that of the load; None without two cores to pin to."""

    server: int | None
    load: int | None


def cores() -> Cores:
    """Return the first two cores this process may use."""
    mine = sorted(os.sched_getaffinity(0))
    return Cores(mine[0], mine[1]) if len(mine) > 1 else Cores(None, None)


@contextmanager
def _servers(
    directory: Path, plan: Plan, domains: Domains, core: int | None
) -> Iterator[dict[str, list[Server]]]:
    """Run the servers some scenario needs, by their setup, in the order A, B."""
    with ExitStack() as stack:
        found: dict[str, list[Server]] = {}
        for setup in sorted({scenario.setup for scenario in plan.scenarios}):
            scanner = stack.enter_context(clamd(directory)) if setup == "scan" else None
            how = Setup(domains if setup == "list" else None, scanner, None if scanner else core, plan.rules)
            made = []
            for start in (icapd, c_icap):
                place = directory / f"{setup}-{start.__name__}"
                place.mkdir()
                begun = time.monotonic()
                server = stack.enter_context(start(place, how))
                print(f"{server.name} ({setup}): up in {time.monotonic() - begun:.1f} s", file=sys.stderr)
                made.append(server)
            found[setup] = made
        yield found


def measure(program: Path, directory: Path, plan: Plan, domains: Domains) -> list[Result]:
    """Run everything; stops early, saying so, when `plan.limit` seconds have passed.

    Raises IcapdError when a server or the generator fails.
    """
    pinned = cores()
    begun = time.monotonic()
    seeds = itertools.count(100_000, 100_000)
    samples: dict[str, dict[str, list[Sample]]] = {s.name: {} for s in plan.scenarios}
    with _servers(directory, plan, domains, pinned.server) as servers:
        for number in range(plan.rounds):
            for scenario in plan.scenarios:
                for server in servers[scenario.setup]:
                    if time.monotonic() - begun > plan.limit:
                        print(f"stopped after {plan.limit:.0f} s, in round {number + 1}", file=sys.stderr)
                        return _results(plan, samples)
                    seed = next(seeds)
                    sample = run_load(
                        program,
                        scenario.load_arguments(domains, seed),
                        port=server.port,
                        service=scenario.services[server.name],
                        pids=server.pids,
                        seconds=max(plan.seconds, scenario.least),
                        core=pinned.load,
                    )
                    server.empty_log()
                    samples[scenario.name].setdefault(server.name, []).append(sample)
            print(f"round {number + 1} of {plan.rounds} done", file=sys.stderr)
    return _results(plan, samples)


def _results(plan: Plan, samples: dict[str, dict[str, list[Sample]]]) -> list[Result]:
    return [
        Result(scenario, found, tuple(_faults(scenario, found)))
        for scenario in plan.scenarios
        if (found := samples[scenario.name])
    ]


def _faults(scenario: Scenario, samples: dict[str, list[Sample]]) -> Iterator[str]:
    for server, runs in samples.items():
        errors = sum(sample.errors for sample in runs)
        if errors:
            yield f"{server}: {errors} errors"
        answers = sum(sum(sample.status.values()) for sample in runs)
        if not answers:
            yield f"{server}: no answer"
        elif scenario.blocked is not None:
            share = sum(sample.status.get("200", 0) for sample in runs) / answers
            deviation = math.sqrt(scenario.blocked * (1 - scenario.blocked) / answers)
            if abs(share - scenario.blocked) > _SIGMAS * deviation:
                yield f"{server}: {share:.1%} blocked instead of {scenario.blocked:.0%}"
