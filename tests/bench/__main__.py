"""`python -m tests.bench [scenario…]`: measure icapd beside c-icap; a Markdown table on standard output."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import sys
import tempfile
from pathlib import Path

from icapd.errors import IcapdError
from tests.bench import report
from tests.bench.domains import cache_directory, make_domains
from tests.bench.load import build_load
from tests.bench.run import Plan, cores, measure
from tests.bench.scenarios import SCENARIOS

_SHORT = (0.6, 3)  # seconds of a run, rounds: under a minute and a half
_LONG = (1.5, 5)


def _arguments() -> argparse.Namespace:
    names = ", ".join(scenario.name for scenario in SCENARIOS)
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=f"of: {names} (default: all)")
    parser.add_argument("--short", action="store_true", help="less than two minutes")
    parser.add_argument("--seconds", type=float, help="of one run")
    parser.add_argument("--rounds", type=int, help="of A B each")
    parser.add_argument("--domains", type=int, default=1_000_000, help="on the list (default: %(default)s)")
    parser.add_argument("--rules", type=int, default=200, help="of icapd's policy (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=900, help="s for all runs (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
    given = parser.parse_args()
    unknown = set(given.scenarios) - {scenario.name for scenario in SCENARIOS}
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {names}")
    return given


def main() -> int:
    """Run, print, return 0; 1 when a figure is not valid, 2 when it could not be measured."""
    given = _arguments()
    seconds, rounds = _SHORT if given.short else _LONG
    plan = Plan(
        [s for s in SCENARIOS if not given.scenarios or s.name in given.scenarios],
        given.seconds or seconds,
        given.rounds or rounds,
        given.limit,
        given.rules,
    )
    directory = Path(tempfile.mkdtemp(prefix="icapd-bench-"))
    try:
        cache = cache_directory()
        program = build_load(cache)
        results = measure(program, directory, plan, make_domains(cache, given.domains))
    except IcapdError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    pinned = "server and load on one core each" if cores().server is not None else "not pinned"
    facts = {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": report.machine(),
        "pinned": pinned,
        "seconds": plan.seconds,
        "rounds": plan.rounds,
        "domains": given.domains,
        "rules": plan.rules,
    }
    print(
        f"{facts['date']}; {facts['machine']}; {pinned}; "
        f"{plan.rounds} rounds of {plan.seconds} s;\nicapd: {plan.rules} rules, {given.domains:,} domains, "
        "decision log to a file; c-icap: the same domains, no log.\n"
    )
    print(report.markdown(results))
    if given.json:
        document = {**facts, "results": [result.document() for result in results]}
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if any(result.faults for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
