"""What a list of a million names costs: to build, to open, to hold, to ask. `--big`: ten million too.

    python -m tests.bench.lists [--big] [--json]

The index is built as a server has it built: by another process, while a thread of this one
counts how long it is ever held up. Beside it stand what else could have been used: a
set in each process, and a table with open addressing and the names beside it, mapped.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import resource
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Self

from icapd.lists import load_lists
from tests.bench.domains import cache_directory, make_domains

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.domains import Domains

ROUNDS = 7
TARGETS = {"open": 10.0, "size": 20.0, "lookup": 2.0}  # ms, MB, µs: of issue 3, for a million
Row = dict[str, float | str]


def best(ask: Callable[[str], object], hosts: Sequence[str]) -> float:
    """Return the µs of one question, in the best of some rounds: what others do only adds to it."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for host in hosts:
            ask(host)
        times.append((time.perf_counter() - started) / len(hosts) * 1e6)
    return min(times)


def memory(kind: str) -> float:
    """Return a line of this process's memory ("RssAnon", "RssFile"), in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) / 1024
    return 0.0


class Watch:
    """A thread that sleeps a millisecond at a time and notes the longest it took."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            started = time.perf_counter()
            time.sleep(0.001)
            self.longest = max(self.longest, (time.perf_counter() - started) * 1e3)


def measure_index(domains: Domains, count: int) -> Row:
    """Build, open and ask the index."""
    lists = {"listed": [domains.listed]}
    quarter, missing = domains.quarter.read_text().split(), domains.missing.read_text().split()
    with tempfile.TemporaryDirectory(prefix="icapd-bench-lists-") as place:
        cache = Path(place) / "lists"
        started = time.perf_counter()
        with Watch() as watch:
            load_lists(lists, cache)
        build = time.perf_counter() - started
        opened = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            loaded = load_lists(lists, cache)
            opened.append((time.perf_counter() - started) * 1e3)
        size = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file()) / 1e6
        anonymous = memory("RssAnon")
        row: Row = {
            "what": "trie, mapped",
            "names": count,
            "build s": build,
            "peak MB": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
            "held up ms": watch.longest,
            "open ms": min(opened),
            "shared MB": size,
            "hit us": best(loaded.lookup, quarter),
            "miss us": best(loaded.lookup, missing),
        }
        row["private MB"] = max(0.0, memory("RssAnon") - anonymous)
        return row


def measure_set(domains: Domains, count: int) -> Row:
    """Ask a set of the names, parents one by one."""
    before = memory("RssAnon")
    started = time.perf_counter()
    names = set(domains.listed.read_text().split())
    built = time.perf_counter() - started

    def ask(host: str) -> bool:
        while host:
            if host in names:
                return True
            host = host.partition(".")[2]
        return False

    return {
        "what": "set",
        "names": count,
        "build s": built,
        "open ms": built * 1e3,
        "private MB": memory("RssAnon") - before,
        "hit us": best(ask, domains.quarter.read_text().split()),
        "miss us": best(ask, domains.missing.read_text().split()),
    }


def measure_table(domains: Domains, count: int) -> Row:
    """Ask a table of offsets into the names, found by CRC-32 and compared whole."""
    started = time.perf_counter()
    mask = (1 << (2 * count - 1).bit_length()) - 1
    slots = array.array("I", bytes(4 * (mask + 1)))
    text = b"\0" + domains.listed.read_bytes().replace(b"\n", b"\0")
    at = 1
    for name in text[1:-1].split(b"\0"):
        slot = zlib.crc32(name) & mask
        while slots[slot]:
            slot = (slot + 1) & mask
        slots[slot] = at
        at += len(name) + 1
    built = time.perf_counter() - started
    view = memoryview(slots)

    def ask(host: str) -> bool:
        name = host.encode()
        while name:
            slot = zlib.crc32(name) & mask
            while offset := view[slot]:
                if text.startswith(name, offset) and not text[offset + len(name)]:
                    return True
                slot = (slot + 1) & mask
            name = name.partition(b".")[2]
        return False

    return {
        "what": "table, exact",
        "names": count,
        "build s": built,
        "shared MB": (len(text) + 4 * len(slots) + 2 * count) / 1e6,
        "hit us": best(ask, domains.quarter.read_text().split()),
        "miss us": best(ask, domains.missing.read_text().split()),
    }


COLUMNS = ("what", "names", "build s", "peak MB", "held up ms", "open ms", "shared MB", "private MB", "hit us", "miss us")  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """Return the rows in columns."""
    cells = [list(COLUMNS)]
    for row in rows:
        values = [row.get(column, "") for column in COLUMNS]
        cells.append([f"{value:,.2f}" if isinstance(value, float) else str(value) for value in values])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells
    )


def main() -> int:
    """Print the table; exit status 1 if a million costs more than it may."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--big", action="store_true", help="ten million too (some minutes, 1 GB)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    rows = []
    for count in (1_000_000, 10_000_000) if options.big else (1_000_000,):
        domains = make_domains(cache_directory(), count)
        rows.append(measure_index(domains, count))
        if count == 1_000_000:
            rows += [measure_set(domains, count), measure_table(domains, count)]
    print(json.dumps(rows, indent=1) if options.json else table(rows))
    first = rows[0]
    asked = {"open": "open ms", "size": "shared MB", "lookup": "hit us"}
    over = [name for name, column in asked.items() if float(first[column]) > TARGETS[name]]
    for name in over:
        print(f"{name}: {first[asked[name]]:.2f} is more than {TARGETS[name]}", file=sys.stderr)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
