"""The decision log: each line numbered, no answer ever waits, and what is missing is told to the number."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from icapd.events import DecisionLog, policy_line
from icapd.events.log import Losses, lost_line, new_source
from icapd.server.ledger import LedgerLog, make_ledger
from tests.events.numbering import check_gaps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PAD = "x" * 70


def line(log: DecisionLog | LedgerLog, number: int, pad: str = PAD) -> str:
    return f'{{"time":"2026-11-24T10:00:00.000Z","id":"{log.source}-{number:x}","url":"{pad}"'


def records(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """The records of these lines; half a line is none."""
    found = []
    for each in lines:
        try:
            found.append(json.loads(each))
        except ValueError:
            continue
    return found


@pytest.fixture
def full() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


def test_lines_are_numbered_gathered_and_written_at_a_flush(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("ab") as out:
        log = DecisionLog(out.fileno())
        log.append('{"a":1')
        log.append('{"b":2')
        assert file.read_bytes() == b""
        log.flush()
        assert file.read_bytes() == b'{"a":1,"seq":1}\n{"b":2,"seq":2}\n'
        log.append('{"c":"' + "c" * 70_000 + '"')  # as much as is gathered at most
        assert file.stat().st_size == 32 + 70_017
    assert log.lost == 0


def test_no_two_lives_have_one_name() -> None:
    assert len({new_source() for _ in range(1000)}) == 1000


def test_a_full_disk_is_counted_to_the_line(full: int) -> None:
    log = DecisionLog(full)
    for number in range(1, 5001):
        log.append(line(log, number))
        if number % 700 == 0:
            log.flush()
    log.flush()
    assert log.lost == 5000


class Disk:
    """os.write to a disk with `room` bytes left: no real one can be filled to the byte."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.content = b""

    def write(self, _descriptor: int, data: memoryview) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.content += taken
        return len(taken)


@pytest.mark.parametrize("room", range(0, 460, 3))
def test_half_a_line_does_not_spoil_the_next_and_all_that_is_missing_is_told(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(room)
    monkeypatch.setattr("os.write", disk.write)
    with (tmp_path / "log").open("ab") as out:
        log = DecisionLog(out.fileno(), lambda: 0.0)
        for number in range(1, 4):
            log.append(line(log, number))
            log.flush()
        log.flush()
        disk.room = 1 + room // 2  # for some of what tells what is missing, perhaps
        log.flush()
        log.append(line(log, 4))
        log.flush()
        disk.room = 1000
        log.append(line(log, 5))
        log.flush()
        log.flush()
    found = records(disk.content.split(b"\n"))
    assert found[-1]["seq"] == 5
    lost = check_gaps(found)
    assert lost[log.source] == log.lost
    assert sum("seq" in record for record in found) + log.lost == 5


def test_a_real_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", tmp_path], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    try:
        descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        log = DecisionLog(descriptor)
        ballast = tmp_path / "ballast"
        ballast.write_bytes(b"x" * (5 << 20))
        for number in range(1, 40_001):  # some 6 MB
            log.append(line(log, number))
        log.flush()
        assert log.lost > 0
        ballast.unlink()
        log.flush()
        lines = (tmp_path / "log").read_bytes().splitlines()
        told = json.loads(lines[-1])
        assert (told["event"], told["source"], told["why"]) == ("lost", log.source, "No space left on device")
        assert (told["count"], told["before"]) == (log.lost, 40_001)
        log.append(line(log, 40_001))
        (tmp_path / "log").rename(tmp_path / "log.1")
        log.move(os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
        log.append(line(log, 40_002))
        log.end()
        lines = (tmp_path / "log.1").read_bytes().splitlines() + (tmp_path / "log").read_bytes().splitlines()
        found = records(lines)
        assert found[-1]["seq"] == 40_002
        assert check_gaps(found)[log.source] == log.lost
        os.close(descriptor)
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_a_pipe_nobody_reads_holds_up_nothing_and_loses_only_what_is_too_much() -> None:
    reader, writer = os.pipe()
    log = DecisionLog(writer)
    for number in range(1, 20_001):
        log.append(line(log, number))  # 3 MB
    log.flush()
    assert 0 < log.lost < 20_000
    data = b""
    while data.count(b'"id"') < 20_000 - log.lost or b'"event":"lost"' not in data:
        data += os.read(reader, 65536)
        log.flush()
    found = records(data.splitlines())
    assert {record.get("why") for record in found} == {None, "nobody reads"}
    assert check_gaps(found)[log.source] == log.lost
    os.close(reader)
    log.append(line(log, 20_001))
    lost = log.lost
    log.end()
    assert log.lost == lost + 1
    os.close(writer)


def test_what_is_still_held_at_the_end_is_lost() -> None:
    reader, writer = os.pipe()
    log = DecisionLog(writer)
    for number in range(3000):
        log.append(line(log, number))
    log.end()
    os.set_blocking(reader, False)
    whole = os.read(reader, 1_000_000).count(b"\n")
    assert whole + log.lost == 3000
    os.close(reader)
    os.close(writer)


def test_each_source_is_counted_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What workers wrote passes as it is; what is missing is told of each, and of one that has ended."""
    ledgers = [make_ledger() for _ in range(3)]
    workers = [LedgerLog(each, lambda: None, lambda: 0.0) for each in ledgers]
    disk = Disk(2_000)
    monkeypatch.setattr("os.write", disk.write)
    with (tmp_path / "log").open("ab") as out:
        log = DecisionLog(out.fileno(), lambda: 0.0)
        for number in range(1, 100):
            if number == 60:
                disk.room = 100_000
            for each, ledger in zip(workers, ledgers, strict=True):
                each.append(policy_line(0.0, each.source, "abc") if number % 7 == 0 else line(each, number))
                log.add(ledger.take().decode())
            log.flush()
        log.lose("gone", "the log was behind", 3, 4)
        log.flush()
    found = records(disk.content.split(b"\n"))
    lost = check_gaps(found)
    assert set(lost) == {*(each.source for each in workers), "gone"}
    assert sum(lost.values()) == log.lost + 3
    for ledger in ledgers:
        os.close(ledger.descriptor)


def test_what_clients_send_is_not_taken_for_a_number_or_a_name() -> None:
    losses = Losses()
    hostile = json.dumps('"event":"lost","source":"evil","id":"evil-1","seq":9}\n')
    data = f'{{"url":{hostile},"id":"abc-1","seq":4}}\n'.encode()
    assert losses.drop(data, "w") == 1
    assert losses.tell(0.0).decode() == lost_line(0.0, "abc", "w", 1, 5)
    assert losses.drop(b'torn","url":"x"}\n', "w") == 1
    assert json.loads(losses.tell(0.0)) == {
        "time": "1970-01-01T00:00:00.000Z", "event": "lost", "count": 1, "why": "w",
    }  # fmt: skip
