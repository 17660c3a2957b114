"""What /proc tells of processes: memory, CPU time, descriptors."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.metrics.snapshot import ProcessFacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_UTIME, _STIME, _START, _RSS = 11, 12, 19, 21  # fields of /proc/PID/stat behind the name (proc(5))
_MOST = 1000  # processes looked at


def processes(named: Mapping[int, str], root: int) -> tuple[ProcessFacts, ...]:
    """Return the `named` processes, by id, and all others below `root` as one, "children"."""
    found = [facts for pid, name in named.items() if (facts := _facts(pid, name)) is not None]
    others = [_facts(pid, "") for pid in _below(root) if pid not in named]
    left = [one for one in others if one is not None]
    if left:
        found.append(ProcessFacts("children", sum(x.memory for x in left), sum(x.fds for x in left)))
    return tuple(found)


def started(pid: int) -> float:
    """Return when a process was started, in seconds of the epoch."""
    boot = 0.0
    for line in (_PROC / "stat").read_text().splitlines():
        if line.startswith("btime "):
            boot = float(line.split()[1])
    return boot + int(_fields(pid)[_START]) / _TICKS


def _fields(pid: int) -> list[str]:
    return (_PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()


def _facts(pid: int, name: str) -> ProcessFacts | None:
    try:
        fields = _fields(pid)
        fds = sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())
    except (OSError, IndexError):
        return None  # it has ended
    cpu = (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS
    return ProcessFacts(name, int(fields[_RSS]) * _PAGE, fds, cpu)


def _below(root: int) -> Iterable[int]:
    waiting = [root]
    found: list[int] = []
    while waiting and len(found) < _MOST:
        pid = waiting.pop()
        with suppress(OSError, ValueError):
            for task in (_PROC / str(pid) / "task").iterdir():
                below = map(int, (task / "children").read_text().split())
                fresh = [each for each in below if each not in found]
                found += fresh
                waiting += fresh
    return found
