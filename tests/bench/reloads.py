"""Reloads of a list of a million under traffic: how long they take, and what the traffic notices of them.

The same paced load four times: alone, while the policy is reloaded again and again with the list as it was,
alone again, and while the list has changed each time, so that its index is built anew. icapd may use all
cores, as it does where it is installed; the load has its own.
"""

from __future__ import annotations

import json
import shutil
import socket
import statistics
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from icapd.errors import IcapdError
from icapd.lists import load_lists
from tests.bench.load import Sample, run_load
from tests.bench.run import cores
from tests.bench.servers import START, policy_document
from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.domains import Domains

RATE = 2000  # requests a second: a busy site of some thousand users
_OPENINGS = 7
_PAUSE = 0.05  # s between two reloads


@dataclass(frozen=True, slots=True)
class Reloads:
    """Traffic without and with reloads; ms that each reload took; ms to open the built list."""

    quiet: Sample
    same: Sample
    changed: Sample
    same_ms: tuple[float, ...]
    changed_ms: tuple[float, ...]
    open_ms: float

    def document(self) -> dict[str, Any]:
        """Return what there is to tell as plain values."""
        return {
            "rate": round(self.quiet.rate),
            "open_ms": round(self.open_ms, 3),
            "same_ms": round(statistics.median(self.same_ms), 1),
            "changed_ms": round(statistics.median(self.changed_ms), 1),
            "reloads": [len(self.same_ms), len(self.changed_ms)],
            **{
                name: {
                    "p50": sample.p50,
                    "p99": sample.p99,
                    "longest": sample.longest,
                    "errors": sample.errors,
                }
                for name, sample in (("quiet", self.quiet), ("same", self.same), ("changed", self.changed))
            },
        }


def measure(program: Path, directory: Path, domains: Domains, rules: int, seconds: float) -> Reloads:
    """Run it. Raises IcapdError when icapd does not start or refuses a reload."""
    place = directory / "reloads"
    place.mkdir()
    listed = place / "listed.txt"
    shutil.copyfile(domains.listed, listed)
    own = replace(domains, listed=listed)
    control = place / "control"
    policy = policy_document(own, rules)
    with serving(place, policy=policy, options={"control": str(control)}, start_seconds=START) as served:

        def load() -> Sample:
            arguments = ("-m", "reqmod", "-a", "204", "-c", "16", "-H", str(domains.quarter), "-r", str(RATE))
            return run_load(
                program, arguments, port=served.icap, service="reqmod", pids=(served.pid,), seconds=seconds,
                core=cores().load,
            )  # fmt: skip

        before = load()
        same, same_ms = _while_reloading(load, control, None)
        between = load()
        changed, changed_ms = _while_reloading(load, control, listed)
    # the quieter of the two: what reloads are compared with should not be others' noise
    quiet = min(before, between, key=lambda sample: sample.p99)
    return Reloads(quiet, same, changed, same_ms, changed_ms, _opening(domains, place))


def _while_reloading(load: Any, control: Path, changed: Path | None) -> tuple[Sample, tuple[float, ...]]:
    """Run the load while another thread asks for reloads; `changed` gets another name before each."""
    done = threading.Event()
    took: list[float] = []
    failed: list[str] = []

    def reload_again() -> None:
        try:
            while not done.wait(_PAUSE):
                if changed is not None:
                    with changed.open("a") as file:
                        file.write(f"new{len(took)}.bench.example\n")
                took.append(_reload(control))
        except (OSError, IcapdError) as error:
            failed.append(str(error))

    thread = threading.Thread(target=reload_again)
    thread.start()
    sample = load()
    done.set()
    thread.join()
    if failed or not took:
        raise IcapdError(f"reload failed: {failed}")
    return sample, tuple(took)


def _reload(control: Path) -> float:
    """Ask for one reload by the control socket; return the ms until it served."""
    begun = time.perf_counter()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(START)
        connection.connect(str(control))
        connection.sendall(b'{"command": "reload"}\n')
        data = b""
        while b"\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                break
            data += piece
    if not json.loads(data or b"{}").get("ok"):
        raise IcapdError(f"a reload was refused: {data.decode()}")
    return (time.perf_counter() - begun) * 1e3


def _opening(domains: Domains, place: Path) -> float:
    """Return the ms to open the list's index once it is built, in the median of some openings."""
    lists = {"listed": [domains.listed]}
    cache = place / "lists"
    load_lists(lists, cache)
    took = []
    for _ in range(_OPENINGS):
        begun = time.perf_counter()
        load_lists(lists, cache)
        took.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(took)
