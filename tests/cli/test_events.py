"""`icapd events`: over logs that are there, grow, and are rotated."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from icapd.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


def line(number: int, **other: object) -> str:
    record = {
        "time": f"2026-11-24T10:00:{number:02}.000Z",
        "id": f"k3v7q2xa-{number:x}",
        "point": "reqmod",
        "method": "GET",
        "url": f"http://site{number}.example/?q={number}",
        "client": f"10.1.2.{number}",
        "user": "anna",
        "action": "allow",
        "stage": "default",
        "rule": None,
        "category": None,
        "status": 204,
        **other,
    }
    return json.dumps(record) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "decisions.log"
    file.write_text(line(1) + line(2, action="block", rule="no games") + '{"torn\n' + line(3))
    return file


def test_the_configured_log_is_filtered(
    tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "icapd.yaml"
    config.write_text(f'listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\ndecisions: {log.name}\n')
    assert main(["events", "-c", str(config), "--action", "block"]) == 0
    out, err = capsys.readouterr()
    assert out == (
        "2026-11-24T10:00:02.000Z  10.1.2.2         anna          block     GET      "
        "http://site2.example/?q=2  (no games)\n"
    )
    assert err == "icapd: 1 lines are no records\n"


def test_without_a_log_it_says_how_to_have_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "icapd.yaml"
    config.write_text('listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\n')
    assert main(["events", "-c", str(config)]) == 1
    assert "set `decisions: FILE`, or name a LOG" in capsys.readouterr().err
    assert main(["events", str(tmp_path / "none")]) == 1
    assert "cannot be read: No such file" in capsys.readouterr().err


def test_nothing_found_is_status_1(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", str(log), "--user", "eve"]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("form", ["json", "csv", "squid", "cef", "leef", "ecs", "kwts"])
def test_every_format_is_a_line_for_each(log: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert main(["events", str(log), "--format", form]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 + (form == "csv")
    assert "site2.example" in lines[-2]


def test_people_are_withheld(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", str(log), "--format", "json", "--anonymise", "--strip-query"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["client"], first["user"], first["url"]) == ("10.1.2.0", None, "http://site1.example/")


def test_options_that_say_nothing_are_refused(log: Path) -> None:
    assert main(["events", str(log), "--client", "anna"]) == 2
    assert main(["events", str(log), "--since", "soon"]) == 2


def test_what_comes_is_followed_through_a_rotation(log: Path) -> None:
    command = [sys.executable, "-m", "icapd", "events", str(log), "--format", "json", "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None

            def number() -> str:
                assert process.stdout is not None
                return str(json.loads(process.stdout.readline())["id"])[9:]

            assert [number(), number(), number()] == ["1", "2", "3"]
            half = line(4)
            with log.open("a") as file:
                file.write(half[:30])
                file.flush()
                file.write(half[30:])
            assert number() == "4"
            log.rename(log.with_suffix(".1"))
            with log.with_suffix(".1").open("a") as file:
                file.write(line(5))
            log.write_text(line(6))
            assert [number(), number()] == ["5", "6"]
        finally:
            process.terminate()
