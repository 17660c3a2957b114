"""`python -m icapd.lists`: build the index that standard input orders; print the faults found, as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys

from icapd.errors import ConfigErrors
from icapd.lists.child import read_order
from icapd.lists.load import ensure_built


def main() -> int:
    """Build one index, nicely: the server beside it goes first."""
    with contextlib.suppress(OSError):
        os.nice(10)
    faults: list[tuple[str, int, str]] = []
    try:
        ensure_built(*read_order(sys.stdin.read()))
    except ConfigErrors as errors:
        faults = [(error.file, error.line, error.message) for error in errors.errors]
    print(json.dumps(faults))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
