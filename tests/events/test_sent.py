"""What counts as arrived, and as missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from icapd.events.follow import Position
from icapd.events.sent import Count, PositionFile, Reached, Window

if TYPE_CHECKING:
    from pathlib import Path


def at(offset: int) -> Reached:
    return Reached(Position(1, offset, "h", 0))


def offset_of(reached: Reached | None) -> int | None:
    return None if reached is None else reached.position.offset


def test_nothing_has_arrived_before_it_is_acknowledged_for_a_while() -> None:
    window = Window(doubt=10)
    window.sent(100, at(1))
    window.sent(200, at(2))
    window.acknowledged(150, now=0)
    assert window.arrived(now=9.9) is None
    assert offset_of(window.arrived(now=10)) == 1
    assert window.arrived(now=100) is None
    window.acknowledged(200, now=100)
    window.sent(200, at(3))  # nothing was sent of these lines
    window.acknowledged(200, now=105)
    assert offset_of(window.arrived(now=110)) == 2
    assert offset_of(window.arrived(now=115)) == 3


def decision(seq: int, source: str = "a") -> dict[str, object]:
    return {"id": f"{source}-{seq:x}", "source": "policy.yaml:3", "action": "allow", "seq": seq}


def test_numbers_that_are_missing_are_counted_unless_the_log_tells_why() -> None:
    count = Count()
    for seq in (7, 8, 9, 9, 8, 12):
        count.add(decision(seq))
    count.add(decision(500, "b"))
    assert count.missing == 2
    count.add({"event": "lost", "source": "a", "count": 2, "why": "disk full"})
    assert count.missing == 0
    again = Count(**json.loads(json.dumps(count.as_json())))
    again.add({"event": "policy", "source": "a", "seq": 14})
    assert (count.missing, again.missing) == (0, 1)


def test_only_the_latest_sources_are_kept() -> None:
    count = Count()
    for number in range(1000):
        count.add(decision(1, f"s{number}"))
    assert len(count.as_json()["seen"]) == 64


def test_the_position_is_kept(tmp_path: Path) -> None:
    file = PositionFile(tmp_path / "log.syslog.1")
    assert file.read() is None
    count = Count()
    count.add(decision(3))
    file.write("udp://h", Reached(Position(1, 2, "x", 3), count))
    found = file.read()
    assert found is not None
    assert found.position == Position(1, 2, "x", 3)
    assert found.count.as_json() == {"seen": {"a": 3}, "missing": 0}
    assert [path.name for path in tmp_path.iterdir()] == ["log.syslog.1"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"position": "1:x", "seen": {}, "missing": 0}',
        '{"position":"1:2:x:3","seen":[],"missing":0}',
    ],
)
def test_a_position_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    file = PositionFile(tmp_path / "p")
    file.path.write_text(text)
    assert file.read() is None
