"""A disk that is full: what cannot be kept is not called clean, and what cannot be logged is counted."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.events.numbering import check_gaps
from tests.server.asking import Asking, chunks, reqmod
from tests.server.test_budget import at_once
from tests.server.working import lines, until
from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

SCANNED = {"lists": {"bad": {"sha256": ["bad.sha256"], "threat": "malware"}}}
_LOST = re.compile(r"(\d+) decision lines could not be written$", re.MULTILINE)


def fill(place: Path, *, leave: int) -> Path:
    """Take the room of a disk but for `leave` bytes."""
    filler = place / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))
    with filler.open("r+b") as file:
        file.truncate(filler.stat().st_size - leave)
    return filler


def free(directory: Path) -> int:
    return os.statvfs(directory).f_bfree


def upload(size: int, number: int) -> bytes:
    return reqmod("http://a.example/up", "POST", body=chunks(b"%d" % number, bytes(size)))


def test_bodies_that_the_disk_cannot_hold_follow_the_policy(tmp_path: Path, small_disk: Path) -> None:
    (tmp_path / "bad.sha256").write_text("0" * 64 + "\n")
    options = {"spool": {"directory": str(small_disk), "body_memory": "64k", "memory": "1m", "wait": "1"}}
    empty = free(small_disk)
    with serving(tmp_path, policy=SCANNED, options=options) as served:
        assert at_once(served, 1, 20 << 20, limit=60) == [403]
        with Asking(served.icap) as peer:
            assert peer.ask(upload(1 << 20, 1)).status == 204
            until(lambda: free(small_disk) == empty)  # children may hold the upload's file a moment longer
            filler = fill(small_disk, leave=0)
            for number in range(3):
                with Asking(served.icap) as other:
                    answer = other.ask(upload(512 << 10, number))
                    assert answer.status == 200
                    assert b" 403 " in (answer.http_head or b"")
            assert peer.ask(reqmod()).status == 204  # what needs no disk goes on
            filler.unlink()
            assert peer.ask(upload(1 << 20, 2)).status == 204
        assert "Traceback" not in served.child.output()
    actions = [line["action"] for line in lines(tmp_path)]
    assert actions == ["block", "allow", "block", "block", "block", "allow", "allow"]
    kinds = {line["findings"][0]["kind"] for line in lines(tmp_path) if line["action"] == "block"}
    assert kinds <= {"limit", "unscannable"}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_lines_that_the_disk_cannot_hold_are_counted(tmp_path: Path, small_disk: Path, workers: str) -> None:
    log = small_disk / "decisions.log"
    options = {"decisions": str(log), "workers": workers, "limits": {"drain": "2"}}
    sent = 0
    with serving(tmp_path, options=options) as served, Asking(served.icap) as peer:

        def ask(count: int) -> None:
            nonlocal sent
            for _ in range(count):
                sent += 1
                assert peer.ask(reqmod(f"http://a.example/{sent}/{'x' * 900}")).status == 204

        filler = fill(small_disk, leave=300_000)
        ask(1500)
        until(lambda: "decision lines could not be written so far" in served.child.output())
        filler.unlink()
        ask(300)
        assert served.child.stop() == 0
        (lost,) = _LOST.findall(served.child.output())
        assert "Traceback" not in served.child.output()
    whole = [line for line in map(read, log.read_bytes().splitlines()) if line is not None]
    assert check_gaps(whole).total() == int(lost)
    numbers = [int(line["url"].split("/")[3]) for line in whole if "event" not in line]
    policies = sum(line.get("event") == "policy" for line in whole)  # the last worker's may be among the lost
    assert len(numbers) == len(set(numbers)) == sent - int(lost) + int(workers) - policies
    assert 0 < int(lost) < 1500
    assert set(range(1501, 1801)) <= set(numbers)


def test_lines_that_nobody_takes_from_a_worker_are_counted(tmp_path: Path) -> None:
    """The supervisor stands still until a worker's memory for lines is full; answers do not wait for it."""
    sent = 1400  # of 4 kB
    with serving(tmp_path, options={"workers": "2"}) as served, Asking(served.icap) as peer:
        assert peer.ask(reqmod()).status == 204
        os.kill(served.pid, signal.SIGSTOP)
        try:
            for number in range(sent):
                assert peer.ask(reqmod(f"http://a.example/{number}/{'x' * 3900}")).status == 204
        finally:
            os.kill(served.pid, signal.SIGCONT)
        until(lambda: b'"event":"lost"' in (tmp_path / "decisions.log").read_bytes())
        assert peer.ask(reqmod()).status == 204
        assert served.child.stop() == 0
    records = [json.loads(line) for line in (tmp_path / "decisions.log").read_bytes().splitlines()]
    (lost,) = check_gaps(records).values()
    assert 0 < lost < sent
    assert sum("event" not in record for record in records) == sent + 2 - lost
    assert {record["why"] for record in records if record.get("event") == "lost"} == {"the log was behind"}


def read(line: bytes) -> dict[str, Any] | None:
    """A line of the log, None for half of one."""
    with contextlib.suppress(ValueError):
        found: dict[str, Any] = json.loads(line)
        return found
    return None
