"""`icapd events` with a store: what is in it, what of the log is not in it yet, and what is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from icapd.cli.main import main
from icapd.events.collector import Feed
from icapd.events.storing import StoreOutput
from tests.events.recorded import line

if TYPE_CHECKING:
    from pathlib import Path

LOST = (
    b'{"time":"2026-11-24T10:00:09.000Z","event":"lost","source":"k3v7q2xa","count":2,"before":8,"why":"w"}'
)


class Site:
    """A configuration with a log and a store."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "icapd.yaml"
        self.log = folder / "d.log"
        self.store = folder / "events.db"
        self.config.write_text('listen: ["icap://127.0.0.1:0"]\npolicy: p\ndecisions: d.log\n')

    def write(self, *lines: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(b"".join(each + b"\n" for each in lines))

    def collect(self) -> None:
        output = StoreOutput(
            str(self.store), days=36500, megabytes=10, policies=str(self.store) + ".policies"
        )
        feed = Feed(self.log, output, lambda *_: None)
        feed.stopping.set()
        feed.run()

    def command(self, *more: str) -> list[str]:
        return ["events", "-c", str(self.config), "--format", "json", *more]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.write(line(1), line(2, action="block"), line(3))
    made.collect()
    made.write(line(4), b"torn", line(5, action="block"))
    return made


def numbers(capsys: pytest.CaptureFixture[str]) -> list[int]:
    return [json.loads(each)["seq"] for each in capsys.readouterr().out.splitlines()]


def test_what_is_not_in_the_store_yet_is_read_from_the_log(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(site.command()) == 0
    assert numbers(capsys) == [1, 2, 3, 4, 5]
    assert main(site.command("--action", "block")) == 0
    assert numbers(capsys) == [2, 5]
    assert main(site.command("--id", "k3v7q2xa-1")) == 0
    assert numbers(capsys) == [1]


@pytest.mark.parametrize(
    ("limit", "wanted"), [(1, [5]), (2, [4, 5]), (4, [2, 3, 4, 5]), (9, [1, 2, 3, 4, 5])]
)
def test_a_limit_leaves_the_last(
    site: Site, capsys: pytest.CaptureFixture[str], limit: int, wanted: list[int]
) -> None:
    assert main(site.command("--limit", str(limit))) == 0
    assert numbers(capsys) == wanted
    assert main(site.command("--limit", str(limit), str(site.log))) == 0
    assert numbers(capsys) == wanted


def test_the_store_has_what_rotation_took(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.collect()
    site.log.unlink()
    site.write(line(6))
    assert main(site.command()) == 0
    assert numbers(capsys) == [1, 2, 3, 4, 5, 6]


def test_a_store_that_cannot_be_read_is_said(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.store.write_bytes(b"x" * 9000)
    assert main(site.command()) == 1
    assert "not a database" in capsys.readouterr().err
    assert main(site.command(str(site.log))) == 0


@pytest.mark.parametrize("logs", [False, True])
def test_gaps(site: Site, capsys: pytest.CaptureFixture[str], logs: bool) -> None:
    more = ["--gaps", str(site.log)] if logs else ["--gaps"]
    assert main(site.command(*more)) == 0
    assert capsys.readouterr().out == "5 records of 1 processes: 0 missing, 0 of them unexplained\n"
    site.write(line(8), LOST)
    assert main(site.command(*more)) == 0
    summary = "6 records of 1 processes: 2 missing, 0 of them unexplained\n"
    assert capsys.readouterr().out == "k3v7q2xa: 2 missing (6-7): 2 lost (w)\n" + summary
    site.write(line(10))
    assert main(site.command(*more)) == 1
    assert "3 missing (6-7, 9): 2 lost (w), 1 unexplained\n" in capsys.readouterr().out


def test_what_comes_is_followed_with_a_store(site: Site) -> None:
    command = [sys.executable, "-m", "icapd", *site.command("--follow", "--limit", "2")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None

            def number() -> int:
                assert process.stdout is not None
                return int(json.loads(process.stdout.readline())["seq"])

            assert [number(), number()] == [4, 5]
            site.log.rename(f"{site.log}.1")
            site.write(line(6))
            assert number() == 6
            site.collect()
            site.write(line(7))
            assert number() == 7
        finally:
            process.terminate()
