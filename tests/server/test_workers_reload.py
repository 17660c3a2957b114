"""Reload with workers: all or none, and never the old policy after the new one."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from twisted.internet.task import Clock

from icapd.server.agreement import Agreement
from tests.server.asking import Asking, reqmod
from tests.server.working import Load, descendants, pids, status, told, until, working

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RELOADS = 4


def write(directory: Path, number: int) -> None:
    rule = {"name": f"r{number}", "when": {"host": [f"b{number}.example"]}, "action": "block"}
    (directory / "policy.yaml").write_text(json.dumps({"access": [rule]}))


def changes(tags: Iterable[tuple[float, float, str]]) -> list[tuple[str, float, float]]:
    """Each ISTag with when it was first received, and when it was last asked for and got, by any client."""
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for asked, answered, tag in tags:
        first[tag] = min(answered, first.get(tag, answered))
        last[tag] = max(asked, last.get(tag, asked))
    return sorted(((tag, first[tag], last[tag]) for tag in first), key=lambda one: one[1])


def test_reloads_under_load_are_unnoticed_and_of_one_moment(tmp_path: Path) -> None:
    with working(tmp_path) as served:
        with Load(served.icap, clients=8) as load:
            for number in range(RELOADS):
                time.sleep(0.2)
                write(tmp_path, number)
                answer = told(tmp_path, "reload")
                assert (answer["ok"], answer["changed"]) == (True, True)
            time.sleep(0.3)
        assert load.failed == []
        seen = changes(load.tags)
        assert len(seen) == RELOADS + 1
        for (_, _, last_asked), (_, first_answered, _) in pairwise(seen):
            assert last_asked <= first_answered  # nobody got the old one who asked when the new one was out
        assert {worker["digest"] for worker in status(tmp_path)["workers"]} == {answer["digest"]}
        until(lambda: len(descendants(served.pid)) == 3)  # the old nurseries are gone


def test_a_broken_policy_changes_nothing(tmp_path: Path) -> None:
    with working(tmp_path) as served:
        before, workers = status(tmp_path)["digest"], pids(tmp_path)
        with Load(served.icap, clients=4) as load:
            for text in ("access: [", '{"access": [{"name": "x", "when": {"host": ["a"]}}]}', "a: {b: c}"):
                (tmp_path / "policy.yaml").write_text(text)
                answer = told(tmp_path, "reload")
                assert answer["ok"] is False
                assert answer["problems"][0].startswith(str(tmp_path / "policy.yaml"))
                assert answer["digest"] == before
        assert load.failed == []
        assert len({tag for _, _, tag in load.tags}) == 1
        assert pids(tmp_path) == workers
        write(tmp_path, 1)
        assert told(tmp_path, "reload")["ok"]
        with Asking(served.icap) as client:
            blocked = reqmod("http://b1.example/", http=("Host: b1.example",))
            assert client.ask(blocked).status == 200
        until(lambda: len(descendants(served.pid)) == 3)


def test_files_that_change_meanwhile_are_refused_or_taken_by_all(tmp_path: Path) -> None:
    with working(tmp_path) as served:
        for number in range(6):
            write(tmp_path, number)
            served.child.process.send_signal(1)
            time.sleep(0.15 * number)
            write(tmp_path, 100 + number)
            until(lambda done=number + 1: ended(served.child.output()) == done)  # type: ignore[misc]
            digests = {worker["digest"] for worker in status(tmp_path)["workers"]}
            assert digests == {status(tmp_path)["digest"]}
        assert told(tmp_path, "reload")["ok"]


def ended(output: str) -> int:
    """How many reloads have."""
    return output.count("info: reloaded") + output.count("error: reload refused")


def test_what_needs_a_restart_is_noted_once(tmp_path: Path) -> None:
    with working(tmp_path):
        config = json.loads((tmp_path / "icapd.yaml").read_text())
        config["workers"] = "3"
        (tmp_path / "icapd.yaml").write_text(json.dumps(config))
        answer = told(tmp_path, "reload")
        assert answer["ok"]
        assert answer["notes"] == ["`workers` changed: it takes effect at the next restart"]
        assert len(status(tmp_path)["workers"]) == 2


class _Worker:
    """A worker's place, as far as a reload asks for it."""

    pid = 7

    def send(self, message: object) -> None:
        """Nobody is there."""


def test_what_a_worker_says_of_an_earlier_reload_does_not_end_this_one() -> None:
    """A worker that hears late that a reload was given up tells its problems while the next is under way."""
    worker = _Worker()
    supervisor: Any = SimpleNamespace(
        config=None, draining=False, digest="", places=[worker], rear=lambda *_: (SimpleNamespace(), 8)
    )
    agreement = Agreement(supervisor, Clock())
    ended: list[Any] = []
    agreement.reload().addCallback(ended.append)
    place: Any = worker
    agreement.heard(place, {"kind": "problems", "round": 0, "text": "of the one before"})
    assert ended == []
    supervisor.places = []
    round_: Any = agreement._round
    round_.nursery = SimpleNamespace(is_open=False)
    agreement.heard(place, {"kind": "problems", "round": 1, "text": "of this one"})
    assert [found.problems for found in ended] == [("of this one",)]
