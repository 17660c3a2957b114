"""Scanners that die, hang and come back under load: nothing unscanned passes, every answer is recorded once."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Self

import pytest

from tests.clam import CLAMD, clam_running, eicar
from tests.content.making import zipped
from tests.server.asking import Asking, chunks, respmod
from tests.server.working import descendants, lines, told, until, working

if TYPE_CHECKING:
    from pathlib import Path

needs_clamd = pytest.mark.skipif(CLAMD is None, reason="needs clamd")


class Downloads:
    """Clients that fetch what is clean and what is not; what became of each is in `seen`."""

    def __init__(self, port: int, clients: int = 4, *, zip_all: bool = False) -> None:
        self.seen: dict[str, bool] = {}  # URL: whether it was blocked
        self.failed: list[str] = []
        self._port, self._zipped = port, zip_all
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(each,)) for each in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, client: int) -> None:
        with Asking(self._port) as link:
            number = 0
            while not self._over.is_set():
                number += 1
                bad = number % 2
                url = f"http://a.example/{'bad' if bad else 'good'}/{client}-{number}"
                body = eicar() + b" " * (number % 50) if bad else b"%d-%d" % (client, number)
                body = zipped(("a", body)) if self._zipped else body
                try:
                    answer = link.ask(respmod(url, body=chunks(body)), "RESPMOD")
                except (OSError, AssertionError):
                    self.failed.append(url)
                    return
                self.seen[url] = answer.status == 200
                time.sleep(0.005)

    def good(self) -> int:
        """How many clean ones have passed."""
        return sum(not blocked for blocked in list(self.seen.values()))


def check(downloads: Downloads, directory: Path) -> None:
    assert downloads.failed == []
    assert all(blocked for url, blocked in downloads.seen.items() if "/bad/" in url)
    until(lambda: len(lines(directory)) >= len(downloads.seen))
    recorded = {line["url"]: line["action"] == "block" for line in lines(directory)}
    assert len(lines(directory)) == len(recorded)
    assert recorded == downloads.seen


@needs_clamd
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_clamd_that_goes_away_and_comes_back(tmp_path: Path, how: str) -> None:
    with clam_running(tmp_path / "d") as clam:
        adapters = [{"clamd": {"socket": str(clam.socket), "timeout": "2"}}]
        with working(tmp_path, workers=2, adapters=adapters) as served:
            with Asking(served.icap) as peer, Downloads(served.icap) as load:
                until(lambda: load.good() > 20)
                clam.kill() if how == "killed" else clam.pause()
                time.sleep(2.5)
                answer = peer.ask(respmod("http://b.example/good/1", body=chunks(b"meanwhile")), "RESPMOD")
                load.seen["http://b.example/good/1"] = answer.status == 200
                assert answer.status == 200  # on_error: closed
                clam.start() if how == "killed" else clam.resume()
                healed = load.good()
                until(lambda: load.good() > healed + 20)
                assert told(tmp_path, "reload")["ok"]
            check(load, tmp_path)
            assert "Traceback" not in served.child.output()


def test_children_that_are_killed_under_load(tmp_path: Path) -> None:
    (tmp_path / "e.yar").write_text('rule e { strings: $a = "EICAR" condition: $a }\n')
    pytest.importorskip("yara")
    adapters = [{"yara": {"rules": ["e.yar"]}}]
    with working(tmp_path, workers=1, adapters=adapters) as served:
        with Downloads(served.icap, zip_all=True) as load:
            for _ in range(5):
                before = load.good()
                until(lambda: load.good() > before + 5)  # noqa: B023
                children = descendants(served.pid)
                assert children
                for pid in children:
                    os.kill(pid, signal.SIGKILL)
        check(load, tmp_path)
        assert served.child.process.poll() is None
        assert "Traceback" not in served.child.output()
