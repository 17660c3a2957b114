"""How long an administrator waits: `icapd explain` and `icapd check` on a policy of 5,000 rules and a large list."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from icapd.errors import IcapdError
from tests.bench.decisions import write_policy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.bench.domains import Domains

RULES = 5_000
_PATIENCE = 120.0  # s


def measure(directory: Path, domains: Domains, rounds: int, rules: int = RULES) -> Mapping[str, float]:
    """Return the s of each command as one waits for them, medians; the list has been built before.

    Raises IcapdError when a command fails.
    """
    place = directory / "commands"
    place.mkdir()
    policy = write_policy(place, rules, domains.listed)
    config = place / "icapd.yaml"
    config.write_text(json.dumps({"listen": ["icap://127.0.0.1:0"], "policy": policy.name}))
    host = domains.missing.read_text().split()[0]
    commands = {
        "explain": ("explain", "-c", str(policy), "GET", f"http://{host}/a/b?c=d"),
        "check": ("check", "-c", str(config), "--no-squid"),
    }
    _run(commands["explain"])
    return {
        name: statistics.median(_run(command) for _ in range(rounds)) for name, command in commands.items()
    }


def _run(command: tuple[str, ...]) -> float:
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "icapd", *command],
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode:
        raise IcapdError(f"icapd {command[0]} failed: {done.stderr.strip()}")
    return time.perf_counter() - begun
