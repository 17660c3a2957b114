"""The collector under a real icapd: started, replaced, told of other options, ended after the last record."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from icapd.config import load_config
from icapd.events.store import StoreError, open_store
from icapd.metrics.snapshot import CollectorFacts, OutputFacts
from icapd.server.collecting import Collecting, order_of, start
from tests.events.recorded import line
from tests.server.asking import Asking, reqmod
from tests.server.working import Load, alive, descendants, kill, until, working
from tests.serving import serving

STORED: dict[str, Any] = {"events": {"store": "auto"}}

REPORT = {"output": "store", "records": 7, "behind": 1, "lag": 0.5, "failed": ""}


def collectors(pid: int) -> list[int]:
    """The processes below `pid` that collect."""
    found = []
    for each in descendants(pid):
        command = Path(f"/proc/{each}/comm")
        if command.exists() and command.read_text() == "icapd-collector\n":
            found.append(each)
    return found


def collector(pid: int) -> int:
    """Wait for the collector of an icapd."""
    until(lambda: bool(collectors(pid)))
    (found,) = collectors(pid)
    return found


def rows(store: Path) -> list[dict[str, Any]]:
    if not store.exists():
        return []
    reader = open_store(store)
    found = list(reader.search())
    reader.close()
    return found


def last(store: Path) -> int:
    """The number of its newest record; 0 as long as there is no store."""
    try:
        reader = open_store(store)
    except StoreError:
        return 0
    found = reader.last()
    reader.close()
    return found


def settled(store: Path, *files: Path) -> list[dict[str, Any]]:
    """The store's records, when collectors have ended what one had no time for on a machine that is busy."""
    log = str(files[-1])
    kept = {"path": str(store), "days": 90, "megabytes": 1024, "policies": f"{store}.policies"}
    for _ in range(20):
        if len(rows(store)) >= len(logged(*files)):
            break
        start({"log": log, "store": kept, "syslog": []}).communicate()
    return rows(store)


def logged(*files: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


KILLS = int(os.environ.get("ICAPD_TEST_COLLECTOR_DEATHS", "8"))


def test_each_record_is_stored_once_however_often_the_collector_is_killed(tmp_path: Path) -> None:
    file, log, over = tmp_path / "icapd.yaml", tmp_path / "d.log", threading.Event()
    file.write_text('listen: ["icap://127.0.0.1:0"]\npolicy: p\ndecisions: d.log\n')
    order = order_of(load_config(file))
    assert order is not None

    def write() -> None:
        number = 0
        while not over.wait(0.01):
            with log.open("ab") as stream:
                stream.write(b"".join(line(each) + b"\n" for each in range(number, number + 5)))
            number += 5

    writer = threading.Thread(target=write)
    writer.start()
    chance = random.Random(7)
    for number in range(KILLS):
        before = last(tmp_path / "events.db")
        process = start(order)
        until(lambda before=before: last(tmp_path / "events.db") > before)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.communicate()
        if not number % 3:
            for other in range(KILLS, 0, -1):
                if (old := tmp_path / f"d.log.{other}").exists():
                    old.rename(tmp_path / f"d.log.{other + 1}")
            log.rename(tmp_path / "d.log.1")
    over.set()
    writer.join()
    files = sorted(tmp_path.glob("d.log.*"), key=lambda each: -int(each.suffix[1:]))
    found, wanted = settled(tmp_path / "events.db", *files, log), logged(*files, log)
    print(f"{KILLS} deaths, {len(wanted)} lines in {len(files) + 1} files")
    assert found == wanted


@pytest.mark.parametrize("workers", [1, 2])
def test_another_starts_when_it_is_killed_under_load(tmp_path: Path, workers: int) -> None:
    make = serving(tmp_path, options=STORED) if workers == 1 else working(tmp_path, workers=2, **STORED)
    log, old = tmp_path / "decisions.log", [tmp_path / f"decisions.log.{number}" for number in (2, 1)]
    with make as served, Load(served.icap, clients=2, pause=0.0005) as load:
        for each in old:
            kill(collector(served.pid))
            log.rename(each)
            os.kill(served.pid, signal.SIGUSR1)
            until(log.exists)
            time.sleep(0.3)
    said = served.child.output()
    assert said.count("the collector of records has ended; another starts") == 2
    assert "Traceback" not in said
    wanted = logged(*old, log)
    assert settled(tmp_path / "events.db", *old, log) == wanted
    assert len(wanted) > len(load.answered) > 100


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_outlives_its_parent_until_it_has_read_all(tmp_path: Path, workers: str) -> None:
    options = {**STORED, "workers": workers}
    with serving(tmp_path, options=options) as served, Asking(served.icap) as peer:
        pid = collector(served.pid)
        for number in range(100):
            peer.ask(reqmod(f"http://a.example/{number}"))
        until(lambda: len(logged(tmp_path / "decisions.log")) > 100)
        os.kill(pid, signal.SIGSTOP)
        kill(served.pid)
        until(lambda: not alive(served.pid))
        os.kill(pid, signal.SIGCONT)
        until(lambda: not alive(pid))
    log = tmp_path / "decisions.log"
    assert settled(tmp_path / "events.db", log) == logged(log)


def test_copies_and_cuts_are_followed(tmp_path: Path) -> None:
    log, old = tmp_path / "decisions.log", [tmp_path / f"decisions.log.{number}" for number in (2, 1)]
    with serving(tmp_path, options=STORED) as served, Load(served.icap, clients=2, pause=0.0005) as load:
        for each in old:
            os.kill(served.pid, signal.SIGUSR2)
            time.sleep(0.3)
            shutil.copy2(log, each)
            os.truncate(log, 0)
            os.kill(served.pid, signal.SIGUSR1)
            time.sleep(0.3)
    wanted = logged(*old, log)
    assert settled(tmp_path / "events.db", *old, log) == wanted
    assert len(wanted) > len(load.answered) > 100


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_changes_what_it_does(tmp_path: Path, workers: int) -> None:
    make = serving(tmp_path, options=STORED) if workers == 1 else working(tmp_path, workers=2, **STORED)
    config = tmp_path / "icapd.yaml"
    with make as served, Asking(served.icap) as peer:
        first = collector(served.pid)
        assert os.getpriority(os.PRIO_PROCESS, first) == 10
        options = json.loads(config.read_text())
        for store, wanted in (("off", False), (str(tmp_path / "other.db"), True)):
            options |= {"events": {"store": store}, "decisions": "other.log"}  # the latter at a restart
            config.write_text(json.dumps(options))
            os.kill(served.pid, signal.SIGHUP)
            until(lambda wanted=wanted: bool(collectors(served.pid)) is wanted)  # type: ignore[misc]
        assert not alive(first)
        peer.ask(reqmod("http://a.example/last"))
    notes = [
        text for text in served.child.output().splitlines() if "takes effect at the next restart" in text
    ]
    assert all("`decisions` changed" in text for text in notes)
    log = tmp_path / "decisions.log"
    assert settled(tmp_path / "other.db", log) == logged(log)


def test_without_a_log_file_nothing_is_collected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for text, wanted in (
        ("decisions: '-'", False),
        ("decisions: pipe\nevents: {store: events.db}", False),
        ("decisions: d.log\nevents: {store: 'off'}", False),
        ("decisions: d.log", True),
        ("decisions: d.log\nevents: {store: 'off', syslog: [{to: 'udp://127.0.0.1'}]}", True),
    ):
        file = tmp_path / "icapd.yaml"
        file.write_text(f'listen: ["icap://127.0.0.1:0"]\npolicy: p\n{text}\n')
        order = order_of(load_config(file))
        assert (order is not None) is wanted
        json.dumps(order)


class Reactor(Clock):
    """A clock that knows its readers."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)


def test_one_that_ends_at_once_is_started_ever_less_often(tmp_path: Path) -> None:
    file = tmp_path / "icapd.yaml"
    file.write_text('listen: ["icap://127.0.0.1:0"]\npolicy: p\ndecisions: d.log\n')
    starts: list[float] = []
    reactor = Reactor()

    def begin(order: dict[str, Any]) -> subprocess.Popen[bytes]:
        assert order["store"]["path"] == str(tmp_path / "events.db")
        starts.append(reactor.seconds())
        if len(starts) == 2:
            raise OSError(11, "no more processes")
        code = f"print({json.dumps([REPORT])!r}, flush=True); import sys; sys.stdin.read()"
        code = code if len(starts) == 5 else ""
        return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    collecting = Collecting(reactor, begin)
    collecting.serve(load_config(file))
    while len(starts) < 5:
        for reader in list(reactor.readers):
            until(lambda reader=reader: bool(reader.doRead() or reader not in reactor.readers))  # type: ignore[misc]
        reactor.advance(0.05)
    assert starts == pytest.approx([0.0, 0.1, 0.3, 0.7, 1.5], abs=0.11)
    (reader,) = reactor.readers
    until(lambda: bool(reader.doRead() or reader.report))
    assert collecting.status() == {"pid": reader.pid, "restarts": 3, "outputs": [REPORT]}
    assert collecting.facts() == CollectorFacts(True, 3, (OutputFacts("store", 7, 1, 0.5),))
    collecting.end()
    assert not alive(reader.pid)
    assert reactor.readers == []
