"""Building in a process of its own: minutes of computing that no thread of a server can hold up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import icapd
from icapd.errors import ConfigError, ConfigErrors
from icapd.lists.spec import ListSpec, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

BIG = 2_000_000  # bytes of list files; less takes under half a second


def build_in_child(specs: Sequence[ListSpec], cache: Path) -> bool:
    """Run `python -m icapd.lists` and wait. False: it could not be run or failed, build here.

    Raises ConfigErrors that the child found, or if it was killed.
    """
    order = json.dumps(
        {
            "cache": str(cache.absolute()),
            "lists": [[s.name, [[one.kind, str(one.path.absolute())] for one in s.sources]] for s in specs],
        }
    )
    home = str(Path(icapd.__file__).parent.parent)
    path = os.pathsep.join(part for part in (home, os.environ.get("PYTHONPATH")) if part)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "icapd.lists"],
            input=order.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
    except OSError:
        return False
    if done.returncode < 0:  # not to be tried again in the process that must go on
        reason = f"the process that builds their index was killed (signal {-done.returncode}; out of memory?)"
        raise ConfigErrors([ConfigError("lists", 0, reason)])
    try:
        faults = json.loads(done.stdout)
    except ValueError:
        return False
    if faults:
        raise ConfigErrors(ConfigError(file, line, message) for file, line, message in faults)
    return done.returncode == 0


def read_order(text: str) -> tuple[tuple[ListSpec, ...], Path]:
    """Return what the child is to build, and where."""
    order = json.loads(text)
    specs = tuple(
        ListSpec(name, tuple(Source(Path(path), kind) for kind, path in sources))
        for name, sources in order["lists"]
    )
    return specs, Path(order["cache"])
