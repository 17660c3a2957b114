"""`python -m tests.soak [--minutes N]`: mixed load on icapd, then what was lost, leaked or wrong.

Exit status 0 if nothing was: no error, each answered request recorded once, memory grown by less than 5 %
after the warm-up (the first third), descriptors as at the start.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.clam import CLAMD, clam_running
from tests.soak.run import Soak, soak, stand_ins


def main() -> int:
    """Soak, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--clients", type=int, default=8, help="at a time (default: %(default)s)")
    parser.add_argument("--no-clamd", action="store_true", help="even where it is installed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="icapd-soak-") as name:
        directory = Path(name)
        if CLAMD is None or given.no_clamd:
            result = _soak(directory, given, [])
        else:
            with clam_running(directory / "clam") as clam:
                result = _soak(directory, given, [{"clamd": {"socket": str(clam.socket)}}])
    print(result.figures())
    for fault in result.faults():
        print(f"fault: {fault}")
    return 1 if result.faults() else 0


def _soak(directory: Path, given: argparse.Namespace, more: list[dict[str, object]]) -> Soak:
    adapters = (*stand_ins(), *more)
    return soak(
        directory,
        given.minutes * 60,
        workers=given.workers,
        clients=given.clients,
        adapters=adapters,
        told_so=lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    sys.exit(main())
