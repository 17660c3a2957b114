"""Faults of the event store: no verdict waits for it, and it ends equal to the log."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.test_disk import fill
from tests.server.asking import Asking, reqmod
from tests.server.test_collecting import collector, last, logged, rows, settled
from tests.server.working import Load, until
from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Served


def ask(served: Served, count: int, size: int = 900) -> None:
    with Asking(served.icap) as peer:
        for number in range(count):
            assert peer.ask(reqmod(f"http://a.example/{number}/{'x' * size}")).status == 204


def test_a_full_disk_stops_no_verdict_and_the_store_goes_on_where_it_was(
    tmp_path: Path, small_disk: Path
) -> None:
    store, log = small_disk / "events.db", tmp_path / "decisions.log"
    options: dict[str, Any] = {"events": {"store": str(store)}, "workers": "2"}
    with serving(tmp_path, options=options) as served, Load(served.icap, clients=2, pause=0.002) as load:
        until(store.exists)
        filler = fill(small_disk, leave=100_000)
        ask(served, 500)
        until(lambda: "the disk is full, or its quota is used up; records wait" in served.child.output())
        before = len(load.answered)
        ask(served, 300)
        assert len(load.answered) > before
        filler.unlink()
        until(lambda: "store: goes on where it was" in served.child.output())
        ask(served, 100)
    assert load.failed == []
    assert "Traceback" not in served.child.output()
    wanted = logged(log)
    assert settled(store, log) == wanted
    assert len(wanted) > 900 + len(load.answered)


def test_log_and_store_on_one_full_disk_end_equal(tmp_path: Path, small_disk: Path) -> None:
    store, log = small_disk / "events.db", small_disk / "decisions.log"
    options: dict[str, Any] = {"decisions": str(log), "events": {"store": "auto"}}
    with serving(tmp_path, options=options) as served:
        until(store.exists)
        filler = fill(small_disk, leave=300_000)
        ask(served, 1500)
        until(lambda: "decision lines could not be written so far" in served.child.output())
        filler.unlink()
        ask(served, 300)
        until(lambda: "store: goes on where it was" in served.child.output())
    found = rows(store)
    lines = [line for line in log.read_bytes().splitlines() if line.endswith(b"}")]
    assert len(found) == len(lines)
    assert {each["url"].split("/")[3] for each in found if "url" in each} >= {str(n) for n in range(300)}


def test_the_oldest_records_leave_a_store_that_has_its_bound(tmp_path: Path, small_disk: Path) -> None:
    store = small_disk / "events.db"
    options: dict[str, Any] = {"events": {"store": str(store), "megabytes": 1}}
    with serving(tmp_path, options=options) as served:
        ask(served, 3000)
        until(lambda: last(store) >= 3000)
    assert "could not" not in served.child.output()
    found, wanted = rows(store), logged(tmp_path / "decisions.log")
    assert found == wanted[-len(found) :]
    assert 200 < len(found) < 2000


@pytest.mark.parametrize("what", ["removed", "broken"])
def test_a_store_that_is_lost_while_it_runs_is_made_anew_of_what_the_log_holds(
    tmp_path: Path, what: str
) -> None:
    store, log = tmp_path / "events.db", tmp_path / "decisions.log"
    options = {"events": {"store": "auto"}}
    with serving(tmp_path, options=options) as served, Load(served.icap, clients=2, pause=0.001) as load:
        until(lambda: last(store) > 50)
        log.rename(tmp_path / "decisions.log.1")
        os.kill(served.pid, signal.SIGUSR1)
        until(log.exists)
        if what == "removed":
            store.unlink()
        else:
            pid = collector(served.pid)
            os.kill(pid, signal.SIGSTOP)
            with store.open("r+b") as file:
                file.write(os.urandom(store.stat().st_size))
            store.with_name("events.db-wal").unlink()  # of which SQLite would restore it
            os.kill(pid, signal.SIGKILL)
        text = "removed or replaced; another is" if what == "removed" else "moved to events.db.broken-"
        until(lambda: text in served.child.output())
    wanted = logged(tmp_path / "decisions.log.1", log)
    assert settled(store, tmp_path / "decisions.log.1", log) == wanted
    assert len(wanted) > len(load.answered) > 100
