"""What was promised, as a table: each ratio, where it is found in a measurement, and its bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.commands import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.bench.report import Document

_Figure = float | None
MET, MISSED, UNKNOWN = "met", "missed", "not measured"


@dataclass(frozen=True, slots=True)
class Target:
    """One promise: `find` gets its figure out of a measurement's document, None where it is not in it.

    `part`: the scenario, or the group (reload, commands, squid), that measures it. `stretch`: more than promised.
    """

    name: str
    title: str
    part: str
    find: Callable[[Document], _Figure]
    bound: float
    at_least: bool = True
    stretch: float | None = None
    unit: str = "×"  # noqa: RUF001  (as the page writes it)


@dataclass(frozen=True, slots=True)
class Judged:
    """A target beside what was measured; `why` it was not, where `state` says so."""

    target: Target
    value: _Figure
    state: str
    why: str = ""

    @property
    def text(self) -> str:
        """Return one short clause: what, how much, of how much, met or not."""
        target = self.target
        if self.value is None:
            return f"{target.name} {UNKNOWN} ({self.why})"
        sign = "≥" if target.at_least else "≤"
        return f"{target.name} {self.value:.2f} ({sign} {target.bound:g} {target.unit}) {self.state}"


def _result(document: Document, scenario: str) -> Document | None:
    return next((each for each in document["results"] if each["scenario"] == scenario), None)


def _spoilt(result: Document, peer: str) -> list[str]:
    """Return the faults that make icapd's ratio to `peer` worthless: those of either."""
    return [fault for fault in result["faults"] if fault.startswith(("icapd:", f"{peer}:"))]


def _ratio(scenario: str, figure: str, peer: str = "c-icap") -> Callable[[Document], _Figure]:
    def find(document: Document) -> _Figure:
        found = _result(document, scenario)
        if found is None or _spoilt(found, peer):
            return None
        return found["ratios"].get(peer, {}).get(figure) or None

    return find


def _per_cpu(scenario: str) -> Callable[[Document], _Figure]:
    """c-icap's CPU for one over icapd's: how many times as much icapd does with the same CPU."""
    ratio = _ratio(scenario, "cpu")
    return lambda document: 1 / value if (value := ratio(document)) else None


def _growth_in_memory(scenario: str) -> Callable[[Document], _Figure]:
    def find(document: Document) -> _Figure:
        found = _result(document, scenario)
        if found is None or "icapd" not in found["samples"]:
            return None
        seen = [sample["memory"] for sample in found["samples"]["icapd"]]
        return max(seen) / seen[0] if seen[0] else None

    return find


def _noticed(how: str) -> Callable[[Document], _Figure]:
    def find(document: Document) -> _Figure:
        found = document.get("reload")
        return found[how]["p99"] / found["quiet"]["p99"] if found and found["quiet"]["p99"] else None

    return find


def _value(group: str, name: str) -> Callable[[Document], _Figure]:
    return lambda document: (document.get(group) or {}).get(name)


_SIZES = ("64KiB", "1MiB", "10MiB")

TARGETS = (
    Target("reqmod", "REQMOD, none blocked, vs srv_url_check, one core", "reqmod", _ratio("reqmod", "rate"), 1.0, stretch=1.2),
    Target("reqmod-25", "REQMOD, 25 % blocked, vs srv_url_check, one core", "reqmod-25", _ratio("reqmod-25", "rate"), 1.3, stretch=1.6),
    Target("p99", "p99 at equal load, none blocked, vs c-icap", "paced", _ratio("paced", "p99"), 1.0, at_least=False, stretch=0.7),
    Target("p99-25", "p99 at equal load, 25 % blocked, vs c-icap", "paced-25", _ratio("paced-25", "p99"), 1.0, at_least=False, stretch=0.7),
    Target("preview", "RESPMOD 204 in the preview, vs c-icap", "preview", _ratio("preview", "rate"), 1.0),
    *(
        Target(f"echo-{size}", f"pass-through {size}, vs c-icap echo", f"echo-{size}", _ratio(f"echo-{size}", "rate"), 3.0)
        for size in _SIZES
    ),
    Target("first-byte", "first byte of 10 MiB, vs c-icap echo", "echo-10MiB", _ratio("echo-10MiB", "first_byte"), 0.2, at_least=False),
    Target("memory", "memory flat: most of all rounds at 10 MiB over the first", "echo-10MiB", _growth_in_memory("echo-10MiB"), 1.1, at_least=False),
    Target("distinct-64KiB", "distinct objects of 64 KiB with clamd, vs virus_scan", "scan-64KiB", _ratio("scan-64KiB", "rate"), 0.95),
    Target("distinct-1MiB", "distinct objects of 1 MiB with clamd, vs virus_scan", "scan-1MiB", _ratio("scan-1MiB", "rate"), 0.95),
    Target("repeated", "repeated objects with clamd, vs virus_scan", "scan-repeated", _ratio("scan-repeated", "rate"), 3.5),
    Target("repeated-cpu", "repeated objects with clamd, vs virus_scan, per CPU", "scan-repeated", _per_cpu("scan-repeated"), 6.0),
    Target("workers", "two workers on two cores, vs c-icap", "workers", _ratio("workers", "rate"), 1.3),
    Target("pyicap", "REQMOD, none blocked, vs pyicap", "reqmod", _ratio("reqmod", "rate", "pyicap"), 3.0),
    Target("e2guardian", "REQMOD, none blocked, vs e2guardian", "reqmod", _ratio("reqmod", "rate", "e2guardian"), 4.0),
    Target("reload", "list of 1 M opened at a reload", "reload", _value("reload", "open_ms"), 10.0, at_least=False, unit="ms"),
    Target("unnoticed", "p99 of traffic while that is reloaded, vs without", "reload", _noticed("same"), 1.5, at_least=False),
    Target("unnoticed-changed", "p99 of traffic while a changed list is built and reloaded, vs without", "reload", _noticed("changed"), 1.5, at_least=False),
    Target("explain", f"icapd explain on {RULES:,} rules", "commands", _value("commands", "explain"), 1.0, at_least=False, unit="s"),
    Target("check", f"icapd check on {RULES:,} rules", "commands", _value("commands", "check"), 1.0, at_least=False, unit="s"),
)  # fmt: skip


def judge(document: Document, parts: set[str] | None = None) -> list[Judged]:
    """Judge the targets of these parts of a measurement (None: all), in the table's order."""
    found = []
    for target in TARGETS:
        if parts is not None and target.part not in parts:
            continue
        value = target.find(document)
        if value is None:
            found.append(Judged(target, None, UNKNOWN, _why(document, target)))
            continue
        met = value >= target.bound if target.at_least else value <= target.bound
        found.append(Judged(target, value, MET if met else MISSED))
    return found


def status(judged: list[Judged]) -> int:
    """Return 1 when one is missed, else 2 when one could not be measured, else 0."""
    states = {each.state for each in judged}
    return 1 if MISSED in states else 2 if UNKNOWN in states else 0


def _why(document: Document, target: Target) -> str:
    missing: Mapping[str, str] = document.get("missing", {})
    for what, why in missing.items():
        setup = "scan" if target.part.startswith("scan") else target.part
        words = what.split(", ")
        if target.name in words or setup in words or (words == ["c-icap"] and "c-icap" in target.title):
            return why
    found = _result(document, target.part)
    if found is not None and found["faults"]:
        return "not valid: " + "; ".join(found["faults"])
    return "not run"
