"""The report for a terminal: aligned, and a line stays a line."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from icapd.events.report import Period, make_report
from icapd.events.store import open_store
from icapd.reports.setting import Idle, Setting
from icapd.reports.text import as_text
from tests.events.recorded import BEGIN, record
from tests.reports import hostile, sample

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = Setting("a", 0, ())
HOUR = Period(BEGIN.timestamp(), BEGIN.timestamp() + 3600)


def text_of(path: Path, records: Any, setting: Setting = PLAIN, period: Period = HOUR) -> str:
    with closing(open_store(path / "events.db", readonly=False)) as store:
        store.add(records, None)
        return as_text(make_report(store.connection, period), setting)


def test_what_was_sent_breaks_no_line_and_moves_no_cursor(tmp_path: Path) -> None:
    setting = Setting(
        hostile.ESCAPES, 0, (Idle("access", hostile.BIDI, hostile.ESCAPES, shadow=False),), (hostile.ESCAPES,)
    )
    text = text_of(tmp_path, hostile.records(), setting)
    assert all(line.isprintable() for line in text.split("\n"))
    assert max(map(len, text.split("\n"))) <= 130
    assert "\\x1b[2J" in text


def test_a_week_is_told(tmp_path: Path) -> None:
    idle = tuple(Idle("access", f"rule {n}", f"p:{n}", shadow=False) for n in range(25))
    setting = Setting("proxy.example", 0, idle, ("A note.",), "by hash")
    text = text_of(tmp_path, sample.records(2000), setting, Period(sample.WEEK, sample.END))
    lines = text.split("\n")
    assert lines[0] == "Web filter report of proxy.example"
    assert "Over time, per 3 hours" in lines
    assert [line for line in lines if line.startswith("Users (by hash)")]
    assert [line for line in lines if line.startswith("  no uploads") and line.endswith("block (shadow)")]
    assert "Rules of the present policy that decided nothing: 25" in lines
    assert "  … and 5 more" in lines
    assert lines[-3:] == ["Records missing: none", "", "A note."]
    users = lines[lines.index(next(line for line in lines if line.startswith("Users"))) + 1 :][:10]
    assert len({len(line) for line in users}) == 1


def test_gaps_and_nothing_are_told(tmp_path: Path) -> None:
    lost = {
        "time": record(2)["time"],
        "event": "lost",
        "source": "k3v7q2xa",
        "count": 1,
        "why": "disk full",
        "before": 4,
    }
    text = text_of(tmp_path, [record(1), lost, record(4)], Setting("a", 0, None))
    assert text.endswith("Records missing: 2, 1 of them unexplained\n             1 disk full")
    assert "Threats: none" in text
    assert "Rules: none decided anything" in text
    assert "decided nothing" not in text
    empty = text_of(tmp_path, [], period=Period(0, 60))
    assert empty.endswith(
        "Nothing was decided in this period.\nThe store's oldest record is of 24 Nov 2026 10:00."
    )
