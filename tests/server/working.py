"""An icapd with workers, seen from outside: its control socket, and clients that count what they got."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.server.asking import Asking, reqmod
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.serving import Served

CONTROL = "control"


@contextlib.contextmanager
def working(directory: Path, *, workers: int = 2, **options: Any) -> Iterator[Served]:
    """Serve by workers; `policy` among the options is the policy, the others are of icapd.yaml."""
    policy: Mapping[str, Any] = options.pop("policy", {"access": []})
    settings = {"workers": str(workers), "control": CONTROL, **options}
    with serving(directory, policy=policy, options=settings) as served:
        yield served


def told(directory: Path, command: str, **more: str) -> dict[str, Any]:
    """Say something to the control socket; return its answer."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(60)
        control.connect(str(directory / CONTROL))
        control.sendall(json.dumps({"command": command, **more}).encode() + b"\n")
        with control.makefile("rb") as stream:
            answer: dict[str, Any] = json.loads(stream.readline())
            return answer


def status(directory: Path) -> dict[str, Any]:
    return told(directory, "status")


def pids(directory: Path) -> list[int]:
    """The workers' process ids, 0 for one that is not ready."""
    return [worker["pid"] for worker in status(directory)["workers"]]


def spread(directory: Path) -> list[int]:
    """Connections of each worker."""
    return [worker["connections"] for worker in status(directory)["workers"]]


def until(wanted: Callable[[], bool], seconds: float = 20.0) -> float:
    """Wait until that is so; return how long it took."""
    begun = time.monotonic()
    while not wanted():
        assert time.monotonic() - begun < seconds
        time.sleep(0.01)
    return time.monotonic() - begun


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def descendants(pid: int) -> set[int]:
    """All processes below it."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        with contextlib.suppress(OSError):
            below = {int(each) for each in Path(f"/proc/{one}/task/{one}/children").read_text().split()}
            found |= below
            waiting += below
    return found


def lines(directory: Path) -> list[dict[str, Any]]:
    """The decisions in the log; every line must be whole."""
    data = (directory / "decisions.log").read_bytes()
    assert not data or data.endswith(b"\n")
    return [record for record in map(json.loads, data.splitlines()) if "event" not in record]


class Load:
    """Clients that ask without pause, each over a connection of its own that it opens anew when it is cut."""

    def __init__(self, port: int, clients: int = 8, pause: float = 0.001) -> None:
        self.answered: list[str] = []  # URLs
        self.failed: list[str] = []  # URLs asked when the connection was cut
        self.tags: list[tuple[float, float, str]] = []  # asked and answered at (monotonic), ISTag
        self.refusals = 0
        self._port, self._pause = port, pause
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(each,)) for each in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, number: int) -> None:
        count = 0
        while not self._over.is_set():
            try:
                link = Asking(self._port)
            except OSError:
                self.refusals += 1
                time.sleep(0.05)
                continue
            with link:
                count = self._ask(link, number, count)

    def _ask(self, link: Asking, number: int, count: int) -> int:
        while not self._over.is_set():
            count += 1
            url = f"http://a.example/{number}/{count}"
            begun = time.monotonic()
            try:
                answer = link.ask(reqmod(url))
            except (OSError, AssertionError):
                self.failed.append(url)
                return count
            assert answer.status == 204
            self.answered.append(url)
            self.tags.append((begun, time.monotonic(), answer.get("istag") or ""))
            if answer.get("connection") == "close":
                return count
            time.sleep(self._pause)
        return count


def kill(pid: int) -> None:
    os.kill(pid, 9)
