"""Samples to medians, ratios and plain values; and a Markdown table of those."""

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
FIGURES = ("rate", "cpu", "p50", "p99", "longest", "first_byte", "megabytes", "memory", "load_cores")
Document = dict[str, Any]  # what --json writes: plain values


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

    def ratio(self, peer: str, figure: str) -> float:
        """Return icapd / `peer` of a figure's medians; 0 where it cannot be told."""
        if not {"icapd", peer} <= set(self.samples):
            return 0.0
        base = self.median(peer, figure)
        return self.median("icapd", figure) / base if base else 0.0

    def document(self) -> Document:
        """Return everything as plain values for JSON."""
        peers = [server for server in self.samples if server != "icapd"]
        return {
            "scenario": self.scenario.name,
            "title": self.scenario.title,
            "paced": bool(self.scenario.paced),
            "medians": {
                server: {name: round(self.median(server, name), 3) for name in FIGURES}
                for server in self.samples
            },
            "ratios": {peer: {name: round(self.ratio(peer, name), 3) for name in FIGURES} for peer in peers},
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
    "| first byte µs | ratio | MB/s | memory MB | spread |\n"
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)
_LEGEND = (
    "ratio is icapd / that server: above 1.00 icapd is better at req/s, below 1.00 at CPU, p99 and first byte;\n"
    "where it is worse, the ratio is bold. CPU is the server's per transaction (where clamd scans: clamd's too);\n"
    "spread is (highest - lowest) / median of req/s over the rounds; in runs at equal load req/s is set, not measured.\n"
    "† the generator's core was full: the server could do more."
)


def markdown(results: Sequence[Document]) -> str:
    """Return the table of results' documents, its legend, and every fault seen."""
    lines = [_HEAD]
    lines += [_row(result, server) for result in results for server in result["samples"]]
    lines += ["", _LEGEND]
    noisy = [each["scenario"] for each in results if max(each["spread"].values()) > _NOISY]
    if noisy:
        lines += [
            "",
            f"Noisy (spread above {_NOISY:.0%}): {', '.join(noisy)}. Other work ran: judge by the CPU column.",
        ]
    faults = [f"- **{each['scenario']}: {fault}**" for each in results for fault in each["faults"]]
    if faults:
        lines += ["", "Not valid as measurements:", "", *faults]
    return "\n".join(lines)


def _row(result: Document, server: str) -> str:
    figures = result["medians"][server]
    # a generator that is paced spends what time is left looking
    full = figures["load_cores"] > _BOUND and not result["paced"]
    ratios = result["ratios"].get(server, {})

    def ratio(name: str) -> str:
        value = ratios.get(name, 0.0)
        if not value or (name == "rate" and result["paced"]):
            return ""
        worse = value < 1 if name == "rate" else value > 1
        return f"**{value:.2f}**" if worse else f"{value:.2f}"

    title = result["title"] if server == "icapd" else ""
    return (
        f"| {title} | {server} | {figures['rate']:,.0f}{'†' if full else ''} | {ratio('rate')} "
        f"| {figures['cpu']:,.1f} | {ratio('cpu')} | {figures['p50']:,.0f} | {figures['p99']:,.0f} | {ratio('p99')} "
        f"| {figures['first_byte']:,.0f} | {ratio('first_byte')} | {figures['megabytes']:,.0f} "
        f"| {figures['memory']:,.0f} | {result['spread'][server]:.0%} |"
    )
