"""Workers that are killed at any moment: only their own transactions fail, and others take their place."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.server.asking import Asking, reqmod
from tests.server.working import Load, alive, descendants, kill, lines, pids, status, told, until, working

DEATHS = int(os.environ.get("ICAPD_TEST_DEATHS", "4"))  # 100 by hand


def replaced(directory: Path, place: int, pid: int) -> bool:
    return pids(directory)[place] not in {0, pid}


def test_deaths_under_load(tmp_path: Path) -> None:
    """Each death costs at most what its connections had under way; answered ones are in the log, once."""
    with working(tmp_path) as served:
        slowest = 0.0
        with Load(served.icap, clients=8) as load:
            for death in range(DEATHS):
                time.sleep(1.2)  # less is a crash loop
                place = death % 2
                pid = pids(tmp_path)[place]
                kill(pid)
                slowest = max(slowest, until(lambda: replaced(tmp_path, place, pid)))  # noqa: B023
            time.sleep(0.5)
        assert slowest <= 1.0
        assert load.refusals == 0
        assert len(load.failed) <= 8 * DEATHS
        assert sum(worker["restarts"] for worker in status(tmp_path)["workers"]) == DEATHS
        answered = set(load.answered)
        until(lambda: answered <= {line["url"] for line in lines(tmp_path)})
        urls = [line["url"] for line in lines(tmp_path)]
        assert len(urls) == len(set(urls))
        assert set(urls) <= answered | set(load.failed)
        others = len(load.failed)
        assert len(load.answered) > 50 * max(1, others) or others == 0
    print(
        f"{DEATHS} deaths, {len(load.answered)} answered, {len(load.failed)} failed, {slowest:.3f} s at most"
    )


def test_connections_of_the_others_go_on(tmp_path: Path) -> None:
    with working(tmp_path) as served:
        clients = [Asking(served.icap) for _ in range(6)]
        for client in clients:
            client.ask(reqmod())
        pid = pids(tmp_path)[0]
        kill(pid)
        ended = 0
        for client in clients:
            try:
                assert client.ask(reqmod()).status == 204
            except (OSError, AssertionError):
                ended += 1
        assert ended == 3
        until(lambda: replaced(tmp_path, 0, pid))
        again = [Asking(served.icap) for _ in range(3)]
        assert {client.ask(reqmod()).status for client in again} == {204}
        assert [worker["connections"] for worker in status(tmp_path)["workers"]] == [3, 3]


def test_a_crash_loop_is_slowed_down_and_the_others_go_on(tmp_path: Path) -> None:
    with working(tmp_path) as served, Asking(served.icap) as _, Asking(served.icap) as other:
        other.ask(reqmod())
        begun, deaths = time.monotonic(), 0
        while time.monotonic() - begun < 4:
            pid = pids(tmp_path)[0]
            if pid:
                kill(pid)
                deaths += 1
                until(lambda: pids(tmp_path)[0] != pid)  # noqa: B023
            assert other.ask(reqmod()).status == 204
            time.sleep(0.01)
        assert 2 <= deaths <= 8
        until(lambda: pids(tmp_path)[0] != 0)


def test_without_a_worker_connections_wait(tmp_path: Path) -> None:
    with working(tmp_path) as served:
        before = pids(tmp_path)
        for pid in before:
            kill(pid)
        until(lambda: not any(map(alive, before)))
        with Asking(served.icap) as client:
            assert client.ask(reqmod()).status == 204


def test_a_nursery_that_dies_is_replaced_if_the_files_are_the_same(tmp_path: Path) -> None:
    with working(tmp_path) as served:
        workers = set(pids(tmp_path))
        (nursery,) = descendants(served.pid) - workers
        kill(nursery)
        until(lambda: len(descendants(served.pid) - workers - {nursery}) == 1)
        pid = pids(tmp_path)[0]
        kill(pid)
        until(lambda: replaced(tmp_path, 0, pid))
        assert "another takes its place" in served.child.output()
        until(lambda: not alive(nursery) and not Path(f"/proc/{nursery}").exists())


def test_a_worker_that_starts_late_has_what_was_adopted_not_what_the_files_say(tmp_path: Path) -> None:
    with working(tmp_path) as served:
        before = status(tmp_path)["digest"]
        policy = '{"access": [{"name": "x", "when": {"host": ["a.example"]}, "action": "block"}]}'
        (tmp_path / "policy.yaml").write_text(policy)
        pid = pids(tmp_path)[0]
        kill(pid)
        until(lambda: replaced(tmp_path, 0, pid))
        assert {worker["digest"] for worker in status(tmp_path)["workers"]} == {before}
        clients = [Asking(served.icap) for _ in range(2)]
        assert {client.ask(reqmod()).status for client in clients} == {204}
        assert told(tmp_path, "reload")["ok"]
        assert {client.ask(reqmod()).status for client in clients} == {200}
        pid = pids(tmp_path)[1]
        kill(pid)
        until(lambda: replaced(tmp_path, 1, pid))
        digests = {worker["digest"] for worker in status(tmp_path)["workers"]}
        assert len(digests) == 1
        assert digests != {before}


@pytest.mark.parametrize("moment", range(3))
def test_a_death_during_a_reload_does_not_hold_it_up(tmp_path: Path, moment: int) -> None:
    with working(tmp_path) as served:
        (tmp_path / "policy.yaml").write_text('{"access": [], "bypass": []}')
        served.child.process.send_signal(1)
        time.sleep(0.3 * moment)
        kill(pids(tmp_path)[moment % 2])
        until(lambda: "reloaded: policy" in served.child.output())
        until(lambda: all(pids(tmp_path)))
        # one that came of the old nursery at the last moment is replaced by one of the new
        until(lambda: len({worker["digest"] for worker in status(tmp_path)["workers"]}) == 1)
