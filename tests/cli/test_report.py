"""`icapd report`: of a real store, for the terminal, as JSON and as a page; and where there is nothing to tell."""

from __future__ import annotations

import json
import stat
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from icapd.cli.main import main
from icapd.events.store import open_store
from tests.reports import hostile, sample

if TYPE_CHECKING:
    from pathlib import Path

WEEK = ("--since", "2026-11-16T00:00Z", "--until", "2026-11-23T00:00Z")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "icapd.yaml"
    file.write_text('listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\ndecisions: decisions.log\n')
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "social.txt").write_text("social.example\n")
    (tmp_path / "policy.yaml").write_text(sample.POLICY)
    return file


def fill(config: Path, records: Any) -> None:
    with closing(open_store(config.with_name("events.db"), readonly=False)) as store:
        store.add(records, None)


def test_a_week_is_told_in_text_and_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(config, sample.records(500))
    assert main(["report", "-c", str(config), *WEEK]) == 0
    out, err = capsys.readouterr()
    assert "16 Nov 2026" in out
    assert "no gambling" in out
    assert f"bypass     updates are not filtered ({config.with_name('policy.yaml')}:5)" in out
    assert err == ""
    assert main(["report", "-c", str(config), *WEEK, "--json", "--top", "3"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["totals"]["requests"] + made["totals"]["responses"] == 500
    assert (
        made["totals"]["requests"] == sum(one["requests"] for one in made["hosts"]) or len(made["hosts"]) == 3
    )
    assert [one["name"] for one in made["idle"]] == [
        "updates are not filtered",
        "no old browsers",
        "macros of the office",
    ]
    assert made["gaps"] == {"missing": 0, "explained": 0, "why": [], "unexplained": 0}


def test_a_page_is_for_its_owner(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(config, sample.records(50))
    page = config.with_name("report.html")
    assert main(["report", "-c", str(config), *WEEK, "--html", str(page)]) == 0
    assert page.read_text().startswith("<!doctype html>")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert capsys.readouterr().out == ""
    assert main(["report", "-c", str(config), *WEEK, "--html", "-"]) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")


def test_people_are_withheld(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(config, sample.records(200))
    assert main(["report", "-c", str(config), *WEEK, "--anonymise"]) == 0
    out = capsys.readouterr().out
    assert "Users (not shown): none" in out
    assert "Clients (by network)" in out
    assert "10.1.0.0 " in out
    assert "bertil" not in out


def test_the_switches_of_records_are_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(config, sample.records(50))
    key = config.with_name("key")
    key.write_text("0123456789abcdef\n")
    key.chmod(0o600)
    config.write_text(config.read_text() + "events: {users: hash, user_key: key, anonymise: true}\n")
    assert main(["report", "-c", str(config), *WEEK]) == 0
    out = capsys.readouterr().out
    assert "Users (by hash)" in out
    assert "Clients (by network)" in out
    assert "keyed hash of their names" in out
    config.write_text(config.read_text().replace("users: hash, user_key: key", "users: drop"))
    assert main(["report", "-c", str(config), *WEEK]) == 0
    assert "Users (not recorded)" in capsys.readouterr().out


def test_a_faulty_policy_keeps_no_report_from_being_made(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(config, sample.records(50))
    config.with_name("policy.yaml").write_text("access: 3\n")
    assert main(["report", "-c", str(config), *WEEK]) == 0
    out = capsys.readouterr().out
    assert "Rules that decided nothing are not told: the present policy has faults." in out
    assert "policy.yaml:1: access" in out


def test_nothing_is_told_as_such(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "-c", str(config)]) == 1
    assert (
        "events.db: there is no event store yet; a running `icapd serve` makes it" in capsys.readouterr().err
    )
    fill(config, [])
    assert main(["report", "-c", str(config)]) == 1
    assert "the event store is empty: is `icapd serve` running" in capsys.readouterr().err
    fill(config, sample.records(5))
    page = config.with_name("r.html")
    assert (
        main(
            [
                "report",
                "-c",
                str(config),
                "--since",
                "2020-01-01",
                "--until",
                "2020-01-02",
                "--html",
                str(page),
            ]
        )
        == 1
    )
    assert "the store's oldest record is of 16 Nov 2026" in capsys.readouterr().err
    assert "Nothing was decided" in page.read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("events: {store: off}", "there is no event store: `events.store` is off in icapd.yaml"),
        ("decisions: '-'", "there is no event store: decisions go to standard output; set `decisions: FILE`"),
    ],
)
def test_where_there_can_be_no_store_it_says_why(
    config: Path, capsys: pytest.CaptureFixture[str], options: str, told: str
) -> None:
    lines = [
        line for line in config.read_text().splitlines() if not line.startswith(options.partition(":")[0])
    ]
    config.write_text("\n".join([*lines, options]) + "\n")
    assert main(["report", "-c", str(config)]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--since", "yesterday"), "'yesterday' is no time"),
        (("--since", "2026-11-20", "--until", "2026-11-19"), "the period ends before it begins"),
        (("--top", "0"), "0 is not in the range"),
    ],
)
def test_options_that_say_nothing_are_refused(
    config: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], told: str
) -> None:
    assert main(["report", "-c", str(config), *options]) == 2
    assert told in capsys.readouterr().err


def test_hostile_records_are_shown_harmless(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(config, hostile.records())
    assert main(["report", "-c", str(config), "--since", "2026-11-24", "--until", "2026-11-25"]) == 0
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())
    assert (
        main(["report", "-c", str(config), "--since", "2026-11-24", "--until", "2026-11-25", "--json"]) == 0
    )
    assert capsys.readouterr().out.isascii()
