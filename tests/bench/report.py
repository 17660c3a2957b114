"""Samples to medians, ratios, a Markdown table and JSON."""

from __future__ import annotations

import dataclasses
import os
import platform
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.load import Sample
    from tests.bench.scenarios import Scenario

_NOISY = 0.25  # of spread; a quiet machine gives 0.05 to 0.15
_BOUND = 0.95  # of the generator's core: the server could do more than was measured


@dataclass(frozen=True, slots=True)
class Result:
    """All runs of one scenario: samples by server, and what was wrong with any."""

    scenario: Scenario
    samples: Mapping[str, Sequence[Sample]]
    faults: tuple[str, ...]

    def median(self, server: str, figure: str) -> float:
        """Return the median over the rounds of one field of Sample."""
        return float(statistics.median(getattr(sample, figure) for sample in self.samples[server]))

    def spread(self, server: str) -> float:
        """Return (highest - lowest) / median of the rate."""
        rates = [sample.rate for sample in self.samples[server]]
        return (max(rates) - min(rates)) / statistics.median(rates) if any(rates) else 0.0

    def ratio(self, figure: str) -> float:
        """Return icapd / c-icap of a figure's medians; 0 where it cannot be told."""
        if set(self.samples) != {"icapd", "c-icap"}:
            return 0.0
        base = self.median("c-icap", figure)
        return self.median("icapd", figure) / base if base else 0.0

    def document(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {
            "scenario": self.scenario.name,
            "title": self.scenario.title,
            "ratios": {name: round(self.ratio(name), 3) for name in ("rate", "cpu", "p50", "p99", "memory")},
            "spread": {server: round(self.spread(server), 3) for server in self.samples},
            "samples": {
                server: [dataclasses.asdict(sample) for sample in samples]
                for server, samples in self.samples.items()
            },
            "faults": list(self.faults),
        }


def machine() -> str:
    """Return one line about where this was measured."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.machine()
    python = platform.python_version()
    cores = len(os.sched_getaffinity(0))
    system = f"{platform.system()} {platform.release()}"
    return f"{model}, {cores} cores, {system}, {sys.implementation.name} {python}"


_HEAD = (
    "| scenario | server | req/s | ratio | CPU µs | ratio | p50 µs | p99 µs | ratio "
    "| first byte µs | MB/s | memory MB | spread |\n"
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)
_LEGEND = (
    "ratio is icapd / c-icap: above 1.00 is better for req/s, below 1.00 for CPU and p99. CPU is the\n"
    "server's per transaction; spread is (highest - lowest) / median of req/s over the rounds.\n"
    "† the generator's core was full: the server could do more."
)


def markdown(results: Sequence[Result]) -> str:
    """Return the table, its legend, and every fault seen."""
    lines = [_HEAD]
    lines += [_row(result, server) for result in results for server in result.samples]
    lines += ["", _LEGEND]
    noisy = [r.scenario.name for r in results if max(map(r.spread, r.samples)) > _NOISY]
    if noisy:
        lines += [
            "",
            f"Noisy (spread above {_NOISY:.0%}): {', '.join(noisy)}. Other work ran: judge by the CPU column.",
        ]
    faults = [f"- **{r.scenario.name}: {fault}**" for r in results for fault in r.faults]
    if faults:
        lines += ["", "Not valid as measurements:", *faults]
    return "\n".join(lines)


def _row(result: Result, server: str) -> str:
    def figure(name: str) -> float:
        return result.median(server, name)

    ours = server == "icapd"
    full = figure("load_cores") > _BOUND
    rate, cpu, p99 = (f"**{result.ratio(name):.2f}**" if ours else "" for name in ("rate", "cpu", "p99"))
    title = result.scenario.title if ours else ""
    return (
        f"| {title} | {server} | {figure('rate'):,.0f}{'†' if full else ''} | {rate} "
        f"| {figure('cpu'):,.1f} | {cpu} | {figure('p50'):,.0f} | {figure('p99'):,.0f} | {p99} "
        f"| {figure('first_byte'):,.0f} | {figure('megabytes'):,.0f} | {figure('memory'):,.0f} "
        f"| {result.spread(server):.0%} |"
    )
