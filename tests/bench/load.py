"""The load generator: built from icapload.c, run, and its one line of JSON read."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.errors import IcapdError
from tests.serving import on_core

if TYPE_CHECKING:
    from collections.abc import Sequence

_SOURCE = Path(__file__).with_name("icapload.c")
_GRACE = 20.0  # s a run may take above its own time: starting, building 10 MiB requests, finishing


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: requests a second, latencies and server CPU per transaction in µs, memory in MB.

    Memory is that of all processes of the server, where what they share counts once.
    """

    rate: float
    p50: float
    p99: float
    longest: float
    first_byte: float
    cpu: float
    memory: float
    megabytes: float
    load_cores: float
    errors: int
    status: dict[str, int]


def build_load(directory: Path) -> Path:
    """Compile the generator into `directory`, once per version of its source.

    Raises IcapdError when there is no C compiler, or it fails.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        msg = "the load generator needs a C compiler: install gcc"
        raise IcapdError(msg)
    program = directory / f"icapload-{hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:12]}"
    if not program.exists():
        partial = program.with_suffix(".part")
        command = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(partial), str(_SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            msg = f"{compiler} cannot build {_SOURCE.name}: {done.stderr.strip()}"
            raise IcapdError(msg)
        partial.replace(program)
    return program


def run_load(
    program: Path,
    arguments: Sequence[str],
    *,
    port: int,
    service: str,
    pids: tuple[int, ...],
    seconds: float,
    core: int | None,
) -> Sample:
    """Run the generator once against 127.0.0.1:`port`. Raises IcapdError when it prints no result."""
    warm_up = min(0.4, seconds / 2)
    command = [
        str(program), "-j", "-p", str(port), "-s", service, "-P", ",".join(map(str, pids)),
        "-d", f"{seconds}", "-w", f"{warm_up}", *arguments,
    ]  # fmt: skip
    with on_core(core):
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _GRACE, check=False)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        msg = f"icapload failed: {done.stderr.strip() or f'status {done.returncode}'}"
        raise IcapdError(msg) from None
    return Sample(
        rate=found["rps"],
        p50=found["p50_us"],
        p99=found["p99_us"],
        longest=found["max_us"],
        first_byte=found["ttfb50_us"],
        cpu=found["srv_cpu_us_per_txn"],
        memory=found["srv_pss_mb"] or found["srv_rss_mb"],
        megabytes=found["mb_s_out"],
        load_cores=found["load_cores"],
        errors=found["errors"],
        status=found["status"],
    )
