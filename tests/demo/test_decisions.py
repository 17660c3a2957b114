import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from icapd.demo.decisions import Decisions, Record

LINE = {
    "time": "2026-11-24T11:47:02.298Z",
    "id": "a-1",
    "point": "reqmod",
    "method": "GET",
    "url": "http://x.test/",
    "user": None,
    "action": "block",
    "rule": "no gambling",
}


def test_a_line_is_read() -> None:
    record = Record.parse(json.dumps(LINE).encode())
    assert (record.id, record.method, record.action, record.rule) == ("a-1", "GET", "block", "no gambling")
    assert record.time == datetime(2026, 11, 24, 11, 47, 2, 298000, UTC)
    assert record.all["user"] is None


@pytest.mark.parametrize("line", [b"", b"Traceback", b"{}", b"[]"])
def test_what_is_no_decision_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a decision|Expecting value"):
        Record.parse(line)


def test_only_whole_lines_after_the_mark_are_read(tmp_path: Path) -> None:
    log = Decisions(tmp_path / "decisions.jsonl")
    assert (log.mark(), log.since(0)) == (0, [])
    whole = json.dumps(LINE) + "\n"
    log.path.write_text(whole)
    mark = log.mark()
    log.path.write_text(whole + whole.replace("a-1", "a-2") + whole[:20])
    assert [record.id for record in log.since(mark)] == ["a-2"]
