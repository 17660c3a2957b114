"""Start the servers, run the scenarios A B A B, collect."""

from __future__ import annotations

import itertools
import math
import os
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from icapd.config import Config
from icapd.errors import IcapdError
from tests.bench.load import Sample, run_load
from tests.bench.peers import e2guardian, pyicap
from tests.bench.report import Result
from tests.bench.servers import Server, Setup, c_icap, clamd, icapd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.bench.domains import Domains
    from tests.bench.scenarios import Scenario

_SIGMAS = 5.0  # a run goes through a shuffled list in part: the share of blocks it saw is a sample
_CALIBRATION = 0.4  # s
_WORKERS = 2
_STARTS = {"icapd": icapd, "c-icap": c_icap, "e2guardian": e2guardian, "pyicap": pyicap}
HAS_WORKERS = "workers" in Config.model_fields
_JUDGED = ("icapd", "c-icap")  # by which answers say that a host is blocked


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


@dataclass(slots=True)
class Bench:
    """One measurement under way; `missing`: servers or setups that could not be had, and why."""

    program: Path
    directory: Path
    plan: Plan
    domains: Domains
    missing: dict[str, str] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)  # of paced scenarios
    seeds: Iterator[int] = field(default_factory=lambda: itertools.count(100_000, 100_000))

    def measure(self) -> list[Result]:
        """Run everything; stops early, saying so, when the plan's limit has passed.

        Raises IcapdError when icapd or the generator fails.
        """
        deadline = time.monotonic() + self.plan.limit
        samples: dict[str, dict[str, list[Sample]]] = {s.name: {} for s in self.plan.scenarios}
        with self._servers() as servers:
            for number, scenario in itertools.product(range(self.plan.rounds), self.plan.scenarios):
                asked = [server for server in servers[scenario.setup] if server.name in scenario.services]
                for server in asked if number % 2 == 0 else reversed(asked):
                    if time.monotonic() > deadline:
                        print(
                            f"stopped after {self.plan.limit:.0f} s, in round {number + 1}", file=sys.stderr
                        )
                        return self._results(samples)
                    sample = self._run(scenario, server, asked)
                    samples[scenario.name].setdefault(server.name, []).append(sample)
                if scenario is self.plan.scenarios[-1]:
                    print(f"round {number + 1} of {self.plan.rounds} done", file=sys.stderr)
        return self._results(samples)

    @contextmanager
    def _servers(self) -> Iterator[dict[str, list[Server]]]:
        """Run the servers some scenario needs, by their setup, icapd first."""
        with ExitStack() as stack:
            found: dict[str, list[Server]] = {}
            for setup in sorted({scenario.setup for scenario in self.plan.scenarios}):
                how = self._setup(stack, setup)
                names = {name for s in self.plan.scenarios if s.setup == setup for name in s.services}
                found[setup] = []
                for name in _STARTS if how is not None else ():
                    if name in names and (server := self._start(stack, setup, name, how)) is not None:
                        found[setup].append(server)
            yield found

    def _setup(self, stack: ExitStack, setup: str) -> Setup | None:
        if setup == "workers":
            if not HAS_WORKERS:
                self._lacks(setup, "icapd.yaml has no `workers` yet")
                return None
            return Setup(self.domains, None, None, self.plan.rules, _WORKERS)
        if setup == "main":
            return Setup(self.domains, None, cores().server, self.plan.rules)
        try:
            return Setup(self.domains, stack.enter_context(clamd(self.directory)), None, self.plan.rules)
        except IcapdError as error:
            self._lacks(setup, str(error))
            return None

    def _start(self, stack: ExitStack, setup: str, name: str, how: Setup | None) -> Server | None:
        assert how is not None
        place = self.directory / f"{setup}-{name}"
        place.mkdir()
        begun = time.monotonic()
        try:
            server = stack.enter_context(_STARTS[name](place, how))
        except IcapdError as error:
            if name == "icapd":
                raise
            self._lacks(name if setup == "main" else f"{name}, {setup}", str(error))
            return None
        print(f"{server.name} ({setup}): up in {time.monotonic() - begun:.1f} s", file=sys.stderr)
        return server

    def _lacks(self, what: str, why: str) -> None:
        self.missing[what] = why
        print(f"left out: {what}: {why}", file=sys.stderr)

    def _run(self, scenario: Scenario, server: Server, asked: Sequence[Server]) -> Sample:
        if not scenario.paced:
            return self._load(scenario, server, max(self.plan.seconds, scenario.least))
        if scenario.name not in self.rates:  # the same for all: a share of what the slowest can do
            can = [self._load(scenario, each, _CALIBRATION).rate for each in asked]
            self.rates[scenario.name] = scenario.paced * min(can)
        paced = ("-r", f"{self.rates[scenario.name]:.0f}")
        return self._load(scenario, server, self.plan.seconds, *paced)

    def _load(self, scenario: Scenario, server: Server, seconds: float, *more: str) -> Sample:
        sample = run_load(
            self.program,
            (*scenario.load_arguments(self.domains, next(self.seeds)), *more),
            port=server.port,
            service=scenario.services[server.name],
            pids=server.pids,
            seconds=seconds,
            core=None if scenario.setup == "workers" else cores().load,
        )
        server.empty_log()
        return sample

    def _results(self, samples: dict[str, dict[str, list[Sample]]]) -> list[Result]:
        return [
            Result(scenario, found, tuple(_faults(scenario, found)))
            for scenario in self.plan.scenarios
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
        elif scenario.blocked is not None and server in _JUDGED:
            share = sum(sample.status.get("200", 0) for sample in runs) / answers
            deviation = math.sqrt(scenario.blocked * (1 - scenario.blocked) / answers)
            if abs(share - scenario.blocked) > _SIGMAS * deviation:
                yield f"{server}: {share:.1%} blocked instead of {scenario.blocked:.0%}"
