"""One soak: an icapd, its clients, reloads; what is measured of it, and what may not be."""

from __future__ import annotations

import contextlib
import json
import statistics
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.server.working import descendants, lines, status, told, until, working
from tests.soak.clients import MARK, Client, policy

if TYPE_CHECKING:
    from collections.abc import Callable

GROWTH = 0.05  # of memory that is let be
_SHOWN = 20
_RELOAD = 4.0  # s between two reloads


@dataclass(slots=True)
class Soak:
    """What came of it; `faults` is empty if all is well."""

    seconds: float
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    reloads: int = 0
    records: int = 0
    events: int = 0
    missing: int = 0
    unscanned: list[str] = field(default_factory=list)  # records of what a scanner could not look at
    connects: int = 0  # records of them
    doubled: int = 0
    stray: int = 0
    memory: list[tuple[float, int]] = field(default_factory=list)  # s, bytes
    before: int = 0  # descriptors
    after: int = 0
    output: str = ""

    @property
    def growth(self) -> float:
        """Growth of memory from the first third after the warm-up to the last, as a ratio."""
        begin = self.seconds / 3
        steady = [size for at, size in self.memory if at >= begin]
        third = max(1, len(steady) // 3)
        first = statistics.median(steady[:third])
        return float(statistics.median(steady[-third:]) / first - 1)

    def faults(self) -> list[str]:
        """Say what is wrong."""
        wrong = list(self.errors[:20])
        for what in ("missing", "doubled", "stray"):
            wrong += [f"{getattr(self, what)} records {what}"] * bool(getattr(self, what))
        if self.connects != self.counts["connect"]:
            wrong.append(f"{self.connects} records of {self.counts['connect']} CONNECTs")
        if self.growth >= GROWTH:
            wrong.append(f"memory grew by {self.growth:.1%}")
        if self.after > self.before:
            wrong.append(f"{self.after} descriptors, {self.before} at the start")
        wrong += [f"not scanned: {record}" for record in self.unscanned]
        wrong += [line for line in self.output.splitlines() if "Traceback" in line or " lost" in line]
        return wrong

    def figures(self) -> str:
        """Return what it came to, for people."""
        asked = sum(self.counts.values())
        first, last = self.memory[len(self.memory) // 3][1], self.memory[-1][1]
        return (
            f"{asked:,} exchanges in {self.seconds:.0f} s "
            f"({', '.join(f'{name} {count:,}' for name, count in sorted(self.counts.items()))}), "
            f"{self.reloads} reloads; {len(self.errors)} errors; {self.records:,} records, "
            f"{self.missing} missing, {self.doubled} doubled, {self.stray} stray; memory {first / 1e6:.1f} MB after warm-up, "
            f"{last / 1e6:.1f} MB at the end ({self.growth:+.1%}); "
            f"descriptors {self.before} before, {self.after} after"
        )


def soak(
    directory: Path,
    seconds: float,
    *,
    workers: int = 2,
    clients: int = 8,
    adapters: tuple[dict[str, Any], ...] = (),
    told_so: Callable[[str], None] = lambda _: None,
) -> Soak:
    """Run icapd in `directory` under load for so long."""
    (directory / "mark.yar").write_text(f'rule mark {{ strings: $a = "{MARK.decode()}" condition: $a }}\n')
    options: dict[str, Any] = {
        "adapters": list(adapters) or stand_ins(),
        "verdict_cache": {"entries": "200"},  # full long before the warm-up is over
        "content": {"children": "2"},
        "limits": {"drain": "10"},
    }
    result = Soak(seconds)
    crowd: list[Client] = []
    with working(directory, workers=workers, policy=policy(0), **options) as served:
        result.connects = -_warm_up(served.icap)
        until(lambda: not any(worker["connections"] for worker in status(directory)["workers"]))
        result.before = descriptors(served.pid)
        crowd = [Client(served.icap, place) for place in range(clients)]
        _load(directory, served.pid, crowd, result, told_so)
        until(lambda: not any(worker["connections"] for worker in status(directory)["workers"]))
        with contextlib.suppress(AssertionError):
            until(lambda: descriptors(served.pid) <= result.before, 15)
        result.after = descriptors(served.pid)
        result.memory.append((time.monotonic(), memory(served.pid)))
        result.memory[-1] = (seconds, result.memory[-1][1])
        served.child.stop(20)
        result.output = served.child.output()
    _count(directory, crowd, result)
    return result


def stand_ins() -> list[dict[str, Any]]:
    """Return the scanners: yara, where it is installed, else a class for pyicap."""
    try:
        import yara  # noqa: F401
    except ImportError:
        return [{"pyicap": {"handler": "tests.soak.stand_in:Marked", "service": "scan"}}]
    return [{"yara": {"rules": ["mark.yar"]}}]


def _warm_up(port: int) -> int:
    """Have every kind of thing done once or more, by several at a time; return how many were CONNECTs."""
    crowd = [Client(port, 1000 + each) for each in range(8)]
    end = time.monotonic() + 3
    _together([threading.Thread(target=one.run, args=(lambda: time.monotonic() > end,)) for one in crowd])
    assert not any(one.errors for one in crowd), [one.errors[:3] for one in crowd]
    return sum(one.counts["connect"] for one in crowd)


def _load(
    directory: Path, pid: int, crowd: list[Client], result: Soak, told_so: Callable[[str], None]
) -> None:
    begun = time.monotonic()
    over = threading.Event()
    threads = [threading.Thread(target=one.run, args=(over.is_set,)) for one in crowd]
    for thread in threads:
        thread.start()
    try:
        again, said = _RELOAD, 0.0
        while (at := time.monotonic() - begun) < result.seconds:
            result.memory.append((at, memory(pid)))
            if at >= again:
                again += _RELOAD
                result.reloads += 1
                _reload(directory, result)
            if at - said >= 60:
                said = at
                told_so(
                    f"{at / 60:.0f} min: {result.memory[-1][1] / 1e6:.1f} MB, {descriptors(pid)} descriptors"
                )
            time.sleep(0.5)
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    for one in crowd:
        result.counts += one.counts
        result.errors += one.errors


def _together(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def _reload(directory: Path, result: Soak) -> None:
    """A good policy, and every fifth time a broken one."""
    aside = directory / "policy.new"
    broken = not result.reloads % 5
    aside.write_text("access: [" if broken else json.dumps(policy(result.reloads)))
    aside.replace(directory / "policy.yaml")
    answer = told(directory, "reload")
    if answer["ok"] is broken:
        result.errors.append(f"reload {result.reloads}: {answer}")


def _count(directory: Path, crowd: list[Client], result: Soak) -> None:
    """Compare the records with what was asked: each answer once, each departure once at most."""
    mine: Counter[str] = Counter()
    for line in lines(directory):
        result.records += 1
        if "event" in line:
            result.events += 1
        elif line["method"] == "CONNECT":
            result.connects += 1
        if line.get("errors") and len(result.unscanned) < _SHOWN:
            result.unscanned.append(f"{line['url']}: {line['action']}, {line['errors']}")
        if "event" in line or line["method"] == "CONNECT":
            continue
        if not line["url"].rpartition("/")[2].startswith("100"):
            mine[line["url"]] += 1
    answered = {url for one in crowd for url in one.answered}
    left = {url for one in crowd for url in one.left}
    result.missing = len(answered - mine.keys())
    result.doubled = sum(count > 1 for count in mine.values())
    result.stray = len(mine.keys() - answered - left)


def _processes(pid: int) -> list[int]:
    return [pid, *descendants(pid)]


def memory(pid: int) -> int:
    """Bytes of all its processes together, what they share counted once (Pss)."""
    total = 0
    for each in _processes(pid):
        with contextlib.suppress(OSError, IndexError):
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
            total += int(text.partition("\nPss:")[2].split()[0])
    return total * 1024


def descriptors(pid: int) -> int:
    """Open descriptors of all its processes."""
    count = 0
    for each in _processes(pid):
        with contextlib.suppress(OSError):
            count += len(list(Path(f"/proc/{each}/fd").iterdir()))
    return count
