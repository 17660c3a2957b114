"""The page of a measurement, made of the JSON beside it: what is met and what is missed, tables and plots."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.bench import bump, report, svg, targets
from tests.bench.growing import growth_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.bench.report import Document
    from tests.bench.targets import Judged


def companion(page: Path) -> Path:
    """Return the file beside a page that holds the measurement it shows."""
    return page.with_suffix(".json")


def growth_companion(page: Path) -> Path:
    """Return the file beside a page that holds what `python -m tests.bench.growth` measured."""
    return page.with_name(f"{page.stem}-growth.json")


def write_page(page: Path, document: Document | None = None, growth: Document | None = None) -> None:
    """Write the page and its plots; a part that is not given is read from its file beside the page, or left out.

    The samples of single runs stay out of the files: `--json` writes them.
    """
    document = _kept(companion(page), document)
    growth = _kept(growth_companion(page), growth)
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    plots: dict[str, str] = {}
    parts = [_INTRODUCTION]
    if document is not None:
        parts += _measured(document, plots)
    if growth is not None:
        parts.append(growth_text(growth, plots))
    for name, text in plots.items():
        (images / name).write_text(text)
    page.write_text("\n\n".join(part.strip("\n") for part in parts) + "\n")


_INTRODUCTION = """\
# Benchmarks

This page is written by `python -m tests.bench --page docs/benchmarks.md`, and its last part by `python -m
tests.bench.growth --page docs/benchmarks.md`; the figures are in the JSON files beside it. Your own: `python -m
tests.bench --short` takes less than five minutes and ends with one line that names every ratio below.

How it is measured: servers on one core, the load (`tests/bench/icapload.c`, which reads and checks every answer
whole) on another, all on loopback; 16 connections kept open; peers in turns, A B A B, the order turned round each
round; medians over the rounds. icapd runs as shipped, with rules, list, decision log to a file and limits. Peers,
each with its own configuration: c-icap with echo, ex206 and srv_url_check on the same list, one process of 80
threads, no log, or with virus_scan and the same clamd; e2guardian as Debian configures it, with the same list and
60 threads; pyicap's threading server, which has no list and allows everything. At equal load all are asked at the
same rate, 60 % of what the slower of both can do, and a transaction's time counts from when it was due. Where
clamd scans, servers and clamd may use both cores. Through Squid, load and origin are Python programs on the same
cores: only the ratios tell something there."""


_IDLE = 0.5
_BUSY = "**The machine was busy with other work: these figures are no measurement of either side.**\n\n"


def _kept(path: Path, given: Document | None) -> Document | None:
    if given is not None:
        slim = dict(given)
        if "results" in slim:
            slim["results"] = [_slim(result) for result in slim["results"]]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(slim, indent=1) + "\n")
    return json.loads(path.read_text()) if path.exists() else None


def _slim(result: Document) -> Document:
    """Keep of each run what a target or the table asks for."""
    samples = {
        server: [{"rate": run["rate"], "memory": run["memory"]} for run in runs]
        for server, runs in result["samples"].items()
    }
    return {**result, "samples": samples}


def _measured(document: Document, plots: dict[str, str]) -> Iterator[str]:
    judged = targets.judge(document)
    plots["benchmarks-targets.svg"] = svg.bars(
        "Promised ratios: how far above or below", [_bar(each) for each in judged]
    )
    pinned = "server and load on one core each" if document["pinned"] else "not pinned"
    counts = [
        sum(each.state == state for each in judged)
        for state in (targets.MET, targets.MISSED, targets.UNKNOWN)
    ]
    yield f"""\
## Result

{document["date"]}; {document["machine"]}; {pinned}; load of the machine before: {document["load_before"]:.1f};
{document["rounds"]} rounds of {document["seconds"]} s; {document["rules"]} rules, {document["domains"]:,} domains.

{_BUSY if document["load_before"] > _IDLE else ""}{counts[0]} met, {counts[1]} missed, {counts[2]} not measured.

![what was promised and what was measured](images/benchmarks-targets.svg)"""
    yield _promises(judged)
    if document["missing"]:
        yield "Left out:\n\n" + "\n".join(f"- {what}: {why}" for what, why in document["missing"].items())
    if document["results"]:
        yield "## Under load\n\n" + report.markdown(document["results"])
    if "reload" in document:
        yield _reloads(document["reload"])
    if "commands" in document:
        yield _commands(document["commands"])
    if "squid" in document:
        yield (
            "## Through Squid\n\n"
            + _THROUGH
            + bump.table([bump.Figure(**each) for each in document["squid"]])
        )


def _bar(each: Judged) -> svg.Bar:
    target, value = each.target, each.value
    if value is None:
        return svg.Bar(target.name, "", None)
    score = value / target.bound if target.at_least else target.bound / max(value, 1e-9)
    sign = "≥" if target.at_least else "≤"
    return svg.Bar(target.name, f"{value:.2f} ({sign} {target.bound:g})", score)


def _promises(judged: list[Judged]) -> str:
    lines = ["| name | what | promised | measured | |", "|---|---|--:|--:|---|"]
    for each in judged:
        target = each.target
        sign = "≥" if target.at_least else "≤"
        stretch = f" (goal: {target.stretch:g})" if target.stretch else ""
        value = f"{each.value:.2f}" if each.value is not None else ""
        state = f"**{each.state}**" if each.state == targets.MISSED else each.state
        why = f": {each.why}" if each.why else ""
        lines.append(
            f"| {target.name} | {target.title} | {sign} {target.bound:g} {target.unit}{stretch} | {value} | {state}{why} |"
        )
    return "\n".join(lines)


_THROUGH = """\
`tunnels`: each request opens its own (CONNECT, TLS handshake, GET); `inside`: requests follow each other in one
tunnel. All are decrypted by Squid (ssl-bump), with a certificate made once.

"""


def _reloads(found: Document) -> str:
    rows = ["| traffic | p50 µs | p99 µs | longest µs | errors |", "|---|--:|--:|--:|--:|"]
    titles = {
        "quiet": "no reload",
        "same": "policy and list as they were",
        "changed": "list changed, built anew",
    }
    for name, title in titles.items():
        row = found[name]
        rows.append(
            f"| {title} | {row['p50']:,.0f} | {row['p99']:,.0f} | {row['longest']:,.0f} | {row['errors']} |"
        )
    return (
        f"## Reload\n\nAt {found['rate']:,} requests a second, reloaded again and again "
        f"({found['reloads'][0]} and {found['reloads'][1]} times):\n\n" + "\n".join(rows) + "\n\n"
        f"Opening the list once its index is built: {found['open_ms']:.2f} ms. A reload as a whole, from asking to "
        f"serving: {found['same_ms']:,.0f} ms with all as it was, {found['changed_ms']:,.0f} ms with a changed list."
    )


def _commands(found: Mapping[str, float]) -> str:
    lines = [
        "| command | s |",
        "|---|--:|",
        *(f"| icapd {name} | {took:.2f} |" for name, took in found.items()),
    ]
    return "## Commands on 5,000 rules\n\n" + "\n".join(lines)
