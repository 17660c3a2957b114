"""`python -m tests.bench [scenario…]`: measure icapd beside its peers; a Markdown table, and what of the promised is met.

The last line names every promised ratio and whether it is met; exit status 1: one is missed, 2: one could
not be measured. Close what else runs on the machine first.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.errors import IcapdError
from tests.bench import bump, commands, reloads, report, targets
from tests.bench.domains import cache_directory, make_domains
from tests.bench.load import build_load
from tests.bench.page import companion, write_page
from tests.bench.run import Bench, Plan, cores
from tests.bench.scenarios import SCENARIOS

if TYPE_CHECKING:
    from tests.bench.domains import Domains
    from tests.bench.report import Document

GROUPS = ("reload", "commands", "squid")
_SHORT = (0.5, 3, 170.0)  # seconds of a run, rounds, s for all runs under load: under five minutes in all
_LONG = (1.5, 7, 900.0)


def _arguments() -> argparse.Namespace:
    names = [*(scenario.name for scenario in SCENARIOS), *GROUPS]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "scenarios", nargs="*", metavar="scenario", help=f"of: {', '.join(names)} (default: all)"
    )
    parser.add_argument("--short", action="store_true", help="less than five minutes")
    parser.add_argument("--tiny", action="store_true", help="small bodies: proves only that it works")
    parser.add_argument("--seconds", type=float, help="of one run")
    parser.add_argument("--rounds", type=int, help="of A B each")
    parser.add_argument("--domains", type=int, default=1_000_000, help="on the list (default: %(default)s)")
    parser.add_argument("--rules", type=int, default=200, help="of icapd's policy (default: %(default)s)")
    parser.add_argument("--limit", type=float, help="s for all runs under load")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write the page, its JSON beside it, and plots"
    )
    parser.add_argument(
        "--render", action="store_true", help="with --page: measure nothing, read the JSON beside it"
    )
    given = parser.parse_args()
    unknown = set(given.scenarios) - set(names)
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if given.render and given.page is None:
        parser.error("--render needs --page")
    given.scenarios = given.scenarios or names
    seconds, rounds, limit = _SHORT if given.short else _LONG
    given.seconds, given.rounds = given.seconds or seconds, given.rounds or rounds
    given.limit = given.limit or limit
    return given


def _measure(given: argparse.Namespace, directory: Path) -> Document:
    cache = cache_directory()
    program = build_load(cache)
    domains = make_domains(cache, given.domains)
    chosen = [scenario for scenario in SCENARIOS if scenario.name in given.scenarios]
    if given.tiny:
        chosen = [scenario.tiny() for scenario in chosen]
    plan = Plan(chosen, given.seconds, given.rounds, given.limit, given.rules)
    bench = Bench(program, directory, plan, domains)
    document: Document = _facts(given, plan)
    document["results"] = [result.document() for result in bench.measure()] if chosen else []
    document["missing"] = bench.missing
    for group in GROUPS:
        if group in given.scenarios:
            print(f"{group} …", file=sys.stderr)
            try:
                document[group] = _group(group, given, program, directory, domains)
            except IcapdError as error:
                bench.missing[group] = str(error)
                print(f"left out: {group}: {error}", file=sys.stderr)
    return document


def _group(group: str, given: argparse.Namespace, program: Path, directory: Path, domains: Domains) -> object:
    """Run what is no load on one server; plain values for the document."""
    if group == "reload":
        seconds = 0.3 if given.tiny else min(4.0, 4 * given.seconds)
        return reloads.measure(program, directory, domains, given.rules, seconds).document()
    if group == "commands":
        rules = given.rules if given.tiny else commands.RULES
        return commands.measure(directory, domains, min(3, given.rounds), rules)
    figures = bump.measure(given.seconds, min(3, given.rounds))
    return [dataclasses.asdict(figure) for figure in figures]


def _facts(given: argparse.Namespace, plan: Plan) -> Document:
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": report.machine(),
        "load_before": os.getloadavg()[0],
        "pinned": cores().server is not None,
        "seconds": plan.seconds,
        "rounds": plan.rounds,
        "domains": given.domains,
        "rules": plan.rules,
        "short": given.short,
    }


def _show(document: Document) -> None:
    pinned = "server and load on one core each" if document["pinned"] else "not pinned"
    print(
        f"{document['date']}; {document['machine']}; {pinned}; load before: {document['load_before']:.1f};\n"
        f"{document['rounds']} rounds of {document['seconds']} s; icapd: {document['rules']} rules, "
        f"{document['domains']:,} domains, decision log to a file; the others: the same domains, no log.\n"
    )
    if document["results"]:
        print(report.markdown(document["results"]))
    for name in GROUPS:
        if name in document and name != "squid":
            print(f"\n{name}: {json.dumps(document[name])}")
    if "squid" in document:
        print("\n" + bump.table([bump.Figure(**figure) for figure in document["squid"]]))
    for what, why in document["missing"].items():
        print(f"left out: {what}: {why}")


def main() -> int:
    """Run, print, judge."""
    given = _arguments()
    begun = time.monotonic()
    if given.render:
        document = json.loads(companion(given.page).read_text())
        write_page(given.page, document)
        return 0
    directory = Path(tempfile.mkdtemp(prefix="icapd-bench-"))
    try:
        document = _measure(given, directory)
    except IcapdError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    document["took"] = round(time.monotonic() - begun)
    _show(document)
    if given.json:
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    if given.page:
        write_page(given.page, document)
    judged = targets.judge(document, set(given.scenarios))
    print(
        f"\nin {document['took']} s: "
        + ("; ".join(each.text for each in judged) or "nothing was promised of these")
    )
    faults = any(result["faults"] for result in document["results"])
    return targets.status(judged) or (2 if faults else 0)


if __name__ == "__main__":
    sys.exit(main())
