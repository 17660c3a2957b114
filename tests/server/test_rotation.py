"""The decision log under load while it is renamed, copied and cut: no line is lost or torn."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from twisted.internet.task import Clock

from icapd.config import load_config
from icapd.events import DecisionLog
from icapd.server.rotation import HOLD, Rotation, open_log
from tests.server.working import Load, until, working
from tests.serving import serving

if TYPE_CHECKING:
    from icapd.config import Config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "icapd.yaml"
    file.write_text('listen: ["icap://127.0.0.1:0"]\npolicy: p\ndecisions: d.log\n')
    return load_config(file)


def test_after_a_rename_lines_go_to_the_new_file(tmp_path: Path, config: Config) -> None:
    decisions = DecisionLog(open_log(config))
    rotation = Rotation(config, decisions, Clock())  # type: ignore[arg-type]
    decisions.add("1\n")
    (tmp_path / "d.log").rename(tmp_path / "d.log.1")
    before = len(list(Path("/proc/self/fd").iterdir()))
    rotation.reopen()
    decisions.add("2\n")
    decisions.end()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert ((tmp_path / "d.log.1").read_text(), (tmp_path / "d.log").read_text()) == ("1\n", "2\n")


def test_what_cannot_be_opened_leaves_the_old_file(tmp_path: Path, config: Config) -> None:
    decisions = DecisionLog(open_log(config))
    (tmp_path / "d.log").rename(tmp_path / "d.log.1")
    (tmp_path / "d.log").mkdir()
    Rotation(config, decisions, Clock()).reopen()  # type: ignore[arg-type]
    decisions.add("1\n")
    decisions.end()
    assert (tmp_path / "d.log.1").read_text() == "1\n"
    assert decisions.lost == 0


def test_a_held_log_is_left_alone_until_it_is_opened_anew_or_time_is_over(
    tmp_path: Path, config: Config
) -> None:
    file = tmp_path / "d.log"
    decisions, clock = DecisionLog(open_log(config)), Clock()
    rotation = Rotation(config, decisions, clock)  # type: ignore[arg-type]
    rotation.hold()
    decisions.add("1\n")
    decisions.flush()
    assert file.read_text() == ""
    rotation.reopen()
    assert file.read_text() == "1\n"
    rotation.hold()
    clock.advance(HOLD - 1)
    rotation.hold()
    decisions.add("2\n")
    clock.advance(HOLD - 1)
    decisions.flush()
    assert file.read_text() == "1\n"
    clock.advance(1)
    assert file.read_text() == "1\n2\n"
    assert decisions.lost == 0


def test_a_hold_has_its_bounds_in_memory_too(tmp_path: Path, config: Config) -> None:
    decisions = DecisionLog(open_log(config))
    decisions.hold()
    for _ in range(17):
        decisions.add("x" * (1024 * 1024 - 1) + "\n")
    assert (tmp_path / "d.log").stat().st_size >= 16 * 1024 * 1024
    decisions.end()
    assert decisions.lost == 0
    assert (tmp_path / "d.log").stat().st_size == 17 * 1024 * 1024


def urls(*files: Path) -> list[str]:
    """What was asked for in every line, which must be whole, and none of them missing."""
    found = []
    numbers: dict[str, list[int]] = {}
    for file in files:
        data = file.read_bytes()
        assert not data or data.endswith(b"\n")
        for record in map(json.loads, data.splitlines()):
            if "event" not in record:
                found.append(record["url"])
            source = record["source"] if "event" in record else record["id"].partition("-")[0]
            numbers.setdefault(source, []).append(record["seq"])
    assert all(each == list(range(1, len(each) + 1)) for each in numbers.values())
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_renames_under_load_lose_nothing(tmp_path: Path, workers: int) -> None:
    make = serving(tmp_path) if workers == 1 else working(tmp_path, workers=workers)
    log = tmp_path / "decisions.log"
    old = [tmp_path / f"decisions.log.{number}" for number in range(10)]
    with make as served, Load(served.icap, clients=4, pause=0.0005) as load:
        for each in old:
            time.sleep(0.1)
            log.rename(each)
            os.kill(served.pid, signal.SIGUSR1)
            until(log.exists)
    print(f"{len(load.answered)} requests over 10 rotations by rename")
    assert load.failed == []
    assert sorted(urls(*old, log)) == sorted(load.answered)


def test_copies_and_cuts_under_load_lose_nothing(tmp_path: Path) -> None:
    log = tmp_path / "decisions.log"
    old = [tmp_path / f"decisions.log.{number}" for number in range(5)]
    with serving(tmp_path) as served, Load(served.icap, clients=4, pause=0.0005) as load:
        for each in old:
            os.kill(served.pid, signal.SIGUSR2)
            time.sleep(0.3)
            shutil.copyfile(log, each)
            time.sleep(0.3)
            os.truncate(log, 0)
            os.kill(served.pid, signal.SIGUSR1)
            time.sleep(0.3)
    print(f"{len(load.answered)} requests over 5 rotations by copy and cut")
    assert load.failed == []
    assert sorted(urls(*old, log)) == sorted(load.answered)
