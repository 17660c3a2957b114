"""Connections that say nothing: opened, held, and what they cost the server."""

from __future__ import annotations

import resource
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_KB = 20.0  # that an idle connection may cost
MOST_P99 = 2.0  # times, of others' p99
_SPARE = 500  # open files beside the connections
_SETTLE = 0.3  # s between two looks, and for the server to see the ends
_PATIENCE = 30.0  # s


def raise_limit(connections: int) -> None:
    """Let this process, and what it starts, open so many files. Raises IcapdError where the system does not."""
    need = connections + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < need:
        if hard != resource.RLIM_INFINITY and hard < need:
            raise IcapdError(
                f"{connections:,} connections need `ulimit -n {need}`; here it can be {hard} at most"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


@contextmanager
def held(pid: int, port: int, count: int) -> Iterator[None]:
    """Hold so many connections to 127.0.0.1:`port` of process `pid`, all accepted.

    Raises IcapdError when one is refused, or not accepted in time.
    """
    time.sleep(_SETTLE)
    before = _files(pid)
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sockets.append(socket.create_connection(("127.0.0.1", port), 10))  # noqa: PERF401  (closed if one fails)
        deadline = time.monotonic() + _PATIENCE
        while (accepted := _files(pid) - before) < count:
            if time.monotonic() > deadline:
                raise IcapdError(f"only {accepted:,} of {count:,} connections were accepted")
            time.sleep(_SETTLE)
        yield
    except OSError as error:
        raise IcapdError(f"connection {len(sockets) + 1:,} failed: {error}") from None
    finally:
        for each in sockets:
            each.close()
        time.sleep(_SETTLE)


def _files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident(pid: int) -> float:
    """Return a process's resident memory in kB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return float(line.split()[1])
    return 0.0


def judge(rows: Sequence[dict[str, float]]) -> list[str]:
    """Return a line for each promise on idle connections that is missed."""
    first, last = rows[0], rows[-1]
    notes = []
    if last["kB each"] > MOST_KB:
        notes.append(f"connections: {last['kB each']:.1f} kB each is more than {MOST_KB:g}: missed")
    if last["p99 µs"] > MOST_P99 * first["p99 µs"]:
        ratio = last["p99 µs"] / first["p99 µs"]
        notes.append(f"connections: others' p99 is {ratio:.1f} times as long, more than {MOST_P99:g}: missed")
    return notes
