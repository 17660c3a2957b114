"""`python -m tests.fuzz [--deep] [--examples N] [NAME…]`: run the targets, and say what they cost.

Exit status 1 if a target failed; its smallest input is printed.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from tests.fuzz import everything
from tests.fuzz.targets import DEEP, QUICK, TARGETS, run


def main() -> int:
    """Run what is asked for, a line each."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="targets; all without one")
    parser.add_argument("--deep", action="store_true", help=f"{DEEP} examples of each instead of {QUICK}")
    parser.add_argument("--examples", type=int, help="so many of each")
    parser.add_argument("--list", action="store_true", help="only name the targets")
    asked = parser.parse_args()
    everything()
    if unknown := set(asked.names) - TARGETS.keys():
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    if asked.list:
        print("\n".join(TARGETS))
        return 0
    examples = asked.examples or (DEEP if asked.deep else QUICK)
    return max(_tried(name, examples) for name in asked.names or TARGETS)


def _tried(name: str, examples: int) -> int:
    began = time.monotonic()
    try:
        meter = run(TARGETS[name], examples)
    except Exception as error:  # noqa: BLE001  (whatever a parser let escape)
        print(f"{name}: FAILED", flush=True)
        traceback.print_exception(error, limit=-6, chain=False)
        return 1
    took = time.monotonic() - began
    print(
        f"{name}: {meter.checked} inputs in {took:.0f} s, median {meter.median * 1000:.2f} ms, "
        f"worst {meter.worst * 1000:.0f} ms, memory {meter.peak / 1024:.0f} KiB",
        flush=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
