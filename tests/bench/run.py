"""Start the servers, run the scenarios A B A B, collect."""

from __future__ import annotations

import math
import os
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.load import Sample, run_load
from tests.bench.report import Result
from tests.bench.servers import Server, c_icap, icapd

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
) -> Iterator[dict[bool, list[Server]]]:
    """Run the servers some scenario needs, by whether they hold the list, in the order A, B."""
    with ExitStack() as stack:
        found: dict[bool, list[Server]] = {}
        for filtered in sorted({scenario.filtered for scenario in plan.scenarios}):
            listed = domains if filtered else None
            made = []
            for name in ("a", "b"):
                place = directory / f"{'list' if filtered else 'plain'}-{name}"
                place.mkdir()
                begun = time.monotonic()
                if name == "a":
                    server = stack.enter_context(icapd(place, core=core, domains=listed, rules=plan.rules))
                else:
                    server = stack.enter_context(c_icap(place, core=core, domains=listed))
                print(f"{server.name}: up in {time.monotonic() - begun:.1f} s", file=sys.stderr)
                made.append(server)
            found[filtered] = made
        yield found


def measure(program: Path, directory: Path, plan: Plan, domains: Domains) -> list[Result]:
    """Run everything; stops early, saying so, when `plan.limit` seconds have passed.

    Raises IcapdError when a server or the generator fails.
    """
    pinned = cores()
    begun = time.monotonic()
    samples: dict[str, dict[str, list[Sample]]] = {s.name: {} for s in plan.scenarios}
    with _servers(directory, plan, domains, pinned.server) as servers:
        for number in range(plan.rounds):
            for scenario in plan.scenarios:
                for server in servers[scenario.filtered]:
                    if time.monotonic() - begun > plan.limit:
                        print(f"stopped after {plan.limit:.0f} s, in round {number + 1}", file=sys.stderr)
                        return _results(plan, samples)
                    sample = run_load(
                        program,
                        scenario.load_arguments(domains),
                        port=server.port,
                        service=scenario.services[server.name],
                        pid=server.pid,
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
