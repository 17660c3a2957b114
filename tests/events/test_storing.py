"""What the store keeps, and what becomes of one that is broken, gone, or has no room."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from icapd.events import storing
from icapd.events.collector import Feed, OutputError
from icapd.events.follow import Position
from icapd.events.store import open_store
from icapd.events.storing import StoreOutput
from tests.events.recorded import BEGIN, line, record

if TYPE_CHECKING:
    from pathlib import Path

NOW = BEGIN.timestamp() + 100
DAY = 86400.0


class Setting:
    """A log, and the output that stores it."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "d.log"
        self.file = folder / "events.db"
        self.policies = folder / "events.db.policies"
        self.now = NOW
        self.said: list[str] = []
        self.output = self.make()

    def make(self, *, days: float = 1, megabytes: int = 10) -> StoreOutput:
        return StoreOutput(
            str(self.file),
            days=days,
            megabytes=megabytes,
            policies=str(self.policies),
            clock=lambda: self.now,
        )

    def write(self, *numbers: int, **given: Any) -> None:
        with self.log.open("ab") as file:
            file.write(b"".join(line(n, **given) + b"\n" for n in numbers))

    def feed(self, output: StoreOutput | None = None) -> Feed:
        """Bring the store level with the log."""
        feed = Feed(self.log, output or self.output, lambda level, text: self.said.append(f"{level}: {text}"))
        feed.stopping.set()
        feed.run()
        return feed

    def numbers(self) -> list[int]:
        store = open_store(self.file)
        found = [each["seq"] for each in store.search()]
        store.close()
        return found

    def state(self, key: str) -> object:
        store = open_store(self.file)
        found = store.state(key)
        store.close()
        return found


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def test_lines_become_records_once_and_torn_ones_are_counted(setting: Setting) -> None:
    setting.write(1, 2)
    setting.feed()
    with setting.log.open("ab") as file:
        file.write(b'{"time": "20\n\xff\n\n7\n')
    setting.write(3)
    setting.feed()
    setting.feed(setting.make())
    assert setting.numbers() == [1, 2, 3]
    assert setting.state("torn") == 3
    assert setting.file.stat().st_mode & 0o777 == 0o640


def test_a_store_that_was_removed_is_made_anew_of_what_the_log_holds(setting: Setting) -> None:
    setting.write(1)
    setting.output.open()
    setting.file.unlink()
    with pytest.raises(OutputError, match="was removed or replaced; another is begun"):
        setting.output.take([line(1)], Position(1, 1, "", 1))
    setting.output.close()
    setting.write(2)
    setting.feed()
    assert setting.numbers() == [1, 2]


@pytest.mark.parametrize("kind", ["garbage", "middle"])
def test_a_broken_store_is_moved_aside_and_made_anew(
    setting: Setting, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    setting.write(*range(200))
    setting.feed()
    data = bytearray(setting.file.read_bytes())
    data[0 if kind == "garbage" else 4096 :] = b"?" * (len(data) - (0 if kind == "garbage" else 4096))
    setting.file.write_bytes(data)
    setting.write(200)
    setting.feed()
    setting.feed()
    assert setting.numbers() == list(range(201))
    aside = setting.file.with_name("events.db.broken-20261124-100140")
    assert aside.read_bytes()[8192:] == bytes(data[8192:])
    assert "moved to events.db.broken-20261124-100140; another is made" in capfd.readouterr().err


def test_a_store_of_a_newer_icapd_is_left_alone(setting: Setting) -> None:
    setting.write(1)
    setting.feed()
    connection = sqlite3.connect(setting.file)
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    setting.write(2)
    setting.feed()
    assert "upgrade icapd, or set `events.store` to another file; records wait in the log" in setting.said[0]
    connection = sqlite3.connect(setting.file)
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    setting.feed()
    assert setting.numbers() == [1, 2]


def test_records_leave_when_they_are_too_old(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "STEP", 3)
    setting.write(*range(10))
    setting.feed()
    setting.now = BEGIN.timestamp() + 4.5 + DAY
    setting.feed()
    assert setting.numbers() == list(range(3, 10))
    setting.feed()
    assert setting.numbers() == list(range(5, 10))
    setting.now += 100 * DAY
    for _ in range(3):
        setting.feed()
    assert setting.numbers() == [9]  # so that numbers of rows never begin anew
    assert setting.state("removed") == 9


def test_the_oldest_leave_when_they_take_too_much(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "STEP", 500)
    output = setting.make(megabytes=1)
    for begin in range(0, 6000, 1000):
        setting.write(*range(begin, begin + 1000), url="http://x.example/" + "a" * 500)
        setting.feed(output)
    for _ in range(12):
        setting.feed(output)
    numbers = setting.numbers()
    assert numbers == list(range(numbers[0], 6000))
    assert 500 < len(numbers) < 2000
    for _ in range(12):
        setting.feed(output)
    assert setting.file.stat().st_size < 1.1 * 1024 * 1024 + (storing._FREE + storing._GIVEN_BACK) * 4096


def test_policies_are_taken_in_and_leave_with_their_records(setting: Setting) -> None:
    setting.policies.mkdir()
    for digest in ("d1", "d2"):
        (setting.policies / f"{digest}.json").write_text(json.dumps({"files": {"policy.yaml": digest}}))
    (setting.policies / "d3.json").write_text("?")
    (setting.policies / "d4.tmp").write_text("half")
    serves = {"time": record(0)["time"], "event": "policy", "source": "k3v7q2xa", "seq": 0, "digest": "d1"}
    setting.log.write_text(json.dumps(serves) + "\n")
    setting.write(1)
    setting.feed()
    setting.feed()
    store = open_store(setting.file)
    assert (store.policy_text("d1"), store.policy_text("d2")) == (
        {"policy.yaml": "d1"},
        {"policy.yaml": "d2"},
    )
    store.close()
    assert sorted(path.name for path in setting.policies.iterdir()) == ["d3.unread", "d4.tmp"]
