"""Too many connections, too slow ones, none to be had: who behaves is served all the same."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from tests.server.asking import Asking, answers, chunks, options, reqmod, respmod
from tests.server.working import Load, descendants, lines, until, working

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IDLE = int(os.environ.get("ICAPD_TEST_IDLE", "500"))  # 9500 by hand
SLOW = int(os.environ.get("ICAPD_TEST_SLOW", "150"))  # 1000 by hand
DESCRIPTORS = 64


def processes(pid: int) -> list[int]:
    return [pid, *descendants(pid)]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """Bytes of all its processes that are nobody else's."""
    total = 0
    for each in processes(pid):
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
            total += sum(int(text.partition(name)[2].split()[0]) for name in ("Private_Dirty:", "Swap:"))
    return total * 1024


@contextlib.contextmanager
def descriptors(count: int) -> Iterator[None]:
    """Let this process, and what it starts, have so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count:
        pytest.skip(f"needs {count} descriptors, {hard} may be had")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("workers", [1, 2])
def test_without_descriptors_it_neither_spins_nor_dies(tmp_path: Path, workers: int) -> None:
    with working(tmp_path, workers=workers) as served:
        for pid in processes(served.pid):
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
        with Asking(served.icap) as old:
            assert old.ask(reqmod()).status == 204
            crowd = []
            for _ in range(300):
                with contextlib.suppress(OSError):
                    crowd.append(socket.create_connection(("127.0.0.1", served.icap), 5))
            time.sleep(0.3)
            before = sum(map(cpu_seconds, processes(served.pid)))
            begun = time.monotonic()
            time.sleep(2)
            busy = (sum(map(cpu_seconds, processes(served.pid))) - before) / (time.monotonic() - begun)
            assert old.ask(reqmod()).status == 204
            for each in crowd:
                each.close()
            until(lambda: asks(served.icap))
        assert served.child.process.poll() is None
        assert "Traceback" not in served.child.output()
        assert busy < 0.5, f"{busy:.0%} of a core"
        told = served.child.output().count("no connection can be accepted: Too many open files")
        assert workers > 1 or told == 1  # the supervisor hands descriptors on, and has enough of them
    assert len(lines(tmp_path)) == 3


def asks(port: int) -> bool:
    try:
        with Asking(port) as new:
            return new.ask(reqmod()).status == 204
    except (OSError, AssertionError):
        return False


@pytest.mark.parametrize("workers", [1, 2])
def test_idle_connections_cost_little_and_end_in_order(tmp_path: Path, workers: int) -> None:
    limits = {"connections": str(IDLE + 10), "drain": "10"}
    with descriptors(IDLE + 200), working(tmp_path, workers=workers, limits=limits) as served:
        before = memory(served.pid)
        idle = [Asking(served.icap) for _ in range(IDLE)]
        for peer in idle:
            assert peer.ask(options(), "OPTIONS").status == 200
        each = (memory(served.pid) - before) / IDLE
        with Load(served.icap, clients=2) as load:
            time.sleep(0.5)
        assert load.failed == []
        assert load.answered
        served.child.process.send_signal(signal.SIGTERM)
        for peer in idle:
            assert peer.rest() == b""
            peer.socket.close()
        assert served.child.process.wait(15) == 0
        assert "Traceback" not in served.child.output()
    print(f"{IDLE} idle connections, {each:,.0f} bytes each")
    assert each < 20_000
    assert len(lines(tmp_path)) == len(load.answered)


class Dripping:
    """Clients that send one byte now and then, of a head, a preview or a body."""

    def __init__(self, port: int, count: int, seconds: float) -> None:
        long = b"x" * 50
        self._kinds: Sequence[tuple[bytes, bytes, str]] = (
            (b"", reqmod("http://a.example/" + "x" * 500), "REQMOD"),
            drip(respmod(lines=("Preview: 60",), body=chunks(long)), 60, "RESPMOD"),
            drip(reqmod(method="POST", body=chunks(long)), 60, "REQMOD"),
        )
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.peers = [Asking(port) for _ in range(count)]
        self.sent = [0] * count
        for number, peer in enumerate(self.peers):
            peer.socket.sendall(self._kinds[number % 3][0])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)
        for peer in self.peers:
            peer.socket.close()

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            for number, peer in enumerate(self.peers):
                rest = self._kinds[number % 3][1]
                at = self.sent[number]
                with contextlib.suppress(OSError):
                    peer.socket.sendall(rest[at : at + 1])
                    self.sent[number] += 1


def drip(request: bytes, last: int, method: str) -> tuple[bytes, bytes, str]:
    return request[:-last], request[-last:], method


def test_clients_that_send_a_byte_at_a_time(tmp_path: Path) -> None:
    """A head has its time however it comes; a body may take long while it goes on; others notice nothing."""
    limits = {"connections": "2000", "head": "2", "body": "2", "linger": "1"}
    with descriptors(2500), working(tmp_path, workers=1, limits=limits) as served:
        with Load(served.icap, clients=2, pause=0.01) as alone:
            time.sleep(1)
        with Dripping(served.icap, SLOW, 0.3) as slow, Load(served.icap, clients=2, pause=0.01) as load:
            for peer in slow.peers[::3]:
                (answer,) = answers(peer.rest(), "REQMOD")
                assert answer.status == 408
            others = [peer for number, peer in enumerate(slow.peers) if number % 3]
            for peer in others:
                peer.socket.setblocking(False)
                with pytest.raises(BlockingIOError):  # neither answered nor closed
                    peer.socket.recv(1)
        assert load.failed == alone.failed == []
        assert "Traceback" not in served.child.output()
    p99 = [slowest(one) for one in (alone, load)]
    print(
        f"{SLOW} slow clients; p99 of the others {p99[0] * 1e3:.1f} ms before, {p99[1] * 1e3:.1f} ms beside"
    )
    assert p99[1] < max(1.0, 20 * p99[0])
    asked = {*alone.answered, *load.answered}
    assert asked <= {line["url"] for line in lines(tmp_path)}


def slowest(load: Load) -> float:
    """Seconds that one in a hundred took, or more."""
    times = sorted(answered - asked for asked, answered, _ in load.tags)
    return times[len(times) * 99 // 100]
