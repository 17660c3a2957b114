"""Outputs are fed independently of each other, go on where they were, and are brought to the log's end."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING

import pytest

from icapd.events import collector
from icapd.events.collector import Feed, OutputError, collect
from tests.events.recorded import line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from icapd.events.follow import Position


class Memory:
    """An output that remembers, and fails or hangs when it is told to."""

    def __init__(self, name: str = "memory", *, at_end: bool = False) -> None:
        self.name = name
        self.at_end = at_end
        self.lines: list[bytes] = []
        self.position: Position | None = None
        self.fails: list[Exception] = []
        self.hangs: threading.Event | None = None
        self.opened = self.closed = self.rested = 0

    def open(self) -> Position | None:
        self.opened += 1
        return self.position

    def take(self, lines: list[bytes], position: Position) -> None:
        if self.hangs is not None:
            self.hangs.wait()
        if self.fails:
            raise self.fails.pop(0)
        self.lines += lines
        self.position = position

    def rest(self) -> None:
        self.rested += 1

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(collector, "POLL", 0.01)
    monkeypatch.setattr(collector, "_BACKOFF", (0.01, 0.02))
    monkeypatch.setattr(collector, "_REPORT", 0.02)
    return tmp_path / "d.log"


def write(log: Path, *numbers: int) -> None:
    with log.open("ab") as file:
        file.write(b"".join(line(n) + b"\n" for n in numbers))


def until(holds: Callable[[], object]) -> None:
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it does not come to that")


def test_an_output_that_fails_is_opened_anew_and_misses_nothing(log: Path) -> None:
    write(log, 1, 2)
    output, said = Memory(), list[str]()
    output.fails = [OutputError("no room"), OSError("no room"), OutputError("no room"), KeyError("x")]
    feed = Feed(log, output, lambda level, text: said.append(f"{level}: {text}"))
    thread = threading.Thread(target=feed.run)
    thread.start()
    until(lambda: output.lines)
    write(log, 3)
    feed.stopping.set()
    thread.join()
    assert output.lines == [line(1), line(2), line(3)]
    assert (output.opened, output.closed) == (5, 5)
    assert said == [
        "error: memory: no room; records wait in the log",
        "error: memory: unforeseen: KeyError: 'x'; records wait in the log",
        "info: memory: goes on where it was",
    ]
    assert feed.status() | {"lag": 0} == {
        "output": "memory",
        "records": 3,
        "behind": 0,
        "lag": 0,
        "failed": "",
        "lost": 0,
    }


def test_who_begins_at_the_end_remembers_so_at_once(log: Path) -> None:
    write(log, 1)
    output = Memory(at_end=True)
    feed = Feed(log, output, lambda *_: None)
    feed.stopping.set()
    feed.run()
    assert output.lines == []
    assert output.position is not None
    assert output.position.offset == log.stat().st_size
    write(log, 2)
    Feed(log, output, lambda *_: None).stopping.set()
    again = Feed(log, output, lambda *_: None)
    again.stopping.set()
    again.run()
    assert output.lines == [line(2)]


def test_one_that_hangs_delays_no_other_and_not_the_end(
    log: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(collector, "END", 0.1)
    first, second = Memory("first"), Memory("second")
    first.hangs = threading.Event()
    order, ours = os.pipe()
    report, theirs = os.pipe()
    thread = threading.Thread(target=collect, args=(log, [first, second], order, theirs))
    thread.start()
    write(log, 1)
    until(lambda: second.lines)
    until(lambda: select.select([report], [], [], 0)[0])
    write(log, 2)
    os.close(ours)
    thread.join()
    assert (first.lines, second.lines) == ([], [line(1), line(2)])
    assert b'"output": "second", "records": ' in os.read(report, 65536)
    assert (
        "icapd: warn: first: what it has not taken waits in the log for the next start\n"
        in capfd.readouterr().err
    )
    first.hangs.set()
    for descriptor in (order, report, theirs):
        os.close(descriptor)
