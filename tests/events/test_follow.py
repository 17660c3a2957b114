"""Each line once and in order, however the log is rotated and the follower ended."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.events.follow import CHUNK, Follower, Position
from tests.events.recorded import line


class Log:
    """A log that grows and is rotated; files' times are counted, since the kernel's stand still for 4 ms."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "d.log"
        self.written: list[bytes] = []
        self._torn = b""
        self._now = 10**18

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            self._append(self._torn_end() or self._line() + b"\n")

    def tear(self) -> None:
        """Write half a line; the rest comes with the next."""
        if not self._torn:
            whole = self._line() + b"\n"
            self._append(whole[:40])
            self._torn = whole[40:]

    def rename(self) -> None:
        self._shift()
        if self.path.exists():
            self.path.rename(f"{self.path}.1")
        self.path.touch()

    def copy_and_cut(self) -> None:
        self._shift()
        if self.path.exists():
            shutil.copy(self.path, f"{self.path}.1")
            self._dated(Path(f"{self.path}.1"))
            os.truncate(self.path, 0)

    def compress(self) -> None:
        """All that was rotated twice, as `delaycompress` has it."""
        for path in self.path.parent.glob("d.log.*"):
            if path.suffix not in {".gz", ".1"}:
                packed = Path(f"{path}.gz")
                packed.write_bytes(gzip.compress(path.read_bytes()))
                shutil.copystat(path, packed)
                path.unlink()

    def _shift(self) -> None:
        self._append(self._torn_end())  # a writer ends its line before it goes to another file
        for number in range(30, 0, -1):
            for end in ("", ".gz"):
                old = Path(f"{self.path}.{number}{end}")
                if old.exists():
                    old.rename(f"{self.path}.{number + 1}{end}")

    def _torn_end(self) -> bytes:
        rest, self._torn = self._torn, b""
        return rest

    def _line(self) -> bytes:
        self.written.append(line(len(self.written) + 1))
        return self.written[-1]

    def _append(self, data: bytes) -> None:
        if data:
            with self.path.open("ab") as file:
                file.write(data)
            self._dated(self.path)

    def _dated(self, path: Path) -> None:
        self._now += 10
        os.utime(path, ns=(self._now, self._now))


def read_all(follower: Follower) -> list[bytes]:
    found: list[bytes] = []
    while lines := follower.read():
        found += lines
    return found


STEPS = st.lists(
    st.sampled_from(
        ["write", "write", "tear", "rename", "copy_and_cut", "compress", "read", "one", "restart"]
    ),
    max_size=30,
)


@given(STEPS)
def test_each_line_comes_once_and_in_order(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder))
        follower = Follower(log.path)
        found: list[bytes] = []
        for step in steps:
            if step == "read":
                found += read_all(follower)
            elif step == "one":
                found += follower.read()
            elif step == "restart":
                follower.close()
                position = follower.position
                follower = Follower(log.path, position and Position.read(str(position)))
            else:
                getattr(log, step)()
        log.write()
        found += read_all(follower)
        assert found == log.written
        assert follower.notes == []
        assert follower.behind() == 0
        follower.close()


def test_without_a_position_reading_begins_with_the_oldest_file(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for _ in range(4):
        log.write(2)
        log.rename()
        log.compress()
    log.write()
    follower = Follower(log.path)
    assert follower.behind() > len(log.written) * 200
    assert read_all(follower) == log.written
    follower.close()


def test_who_begins_at_the_end_reads_what_comes(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write(2)
    log.rename()
    for begun in ("empty", "filled"):
        log.write(0 if begun == "empty" else 3)
        follower = Follower(log.path, at_end=True)
        assert follower.read() == []
        position = follower.position
        follower.close()
        log.write(2)
        log.rename()
        log.write()
        follower = Follower(log.path, position, at_end=True)
        assert read_all(follower) == log.written[-3:]
        follower.close()


def test_a_log_that_is_made_later_is_new_to_who_begins_at_the_end(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write()
    log.path.rename(f"{log.path}.1")
    follower = Follower(log.path, at_end=True)
    assert follower.read() == []
    log.write()
    assert read_all(follower) == log.written[1:]
    follower.close()


def test_files_that_are_gone_are_told_of_and_what_is_newer_is_read(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write(2)
    log.rename()
    log.write(2)
    follower = Follower(log.path)
    assert len(read_all(follower)) == 4
    follower.close()
    for _ in range(2):
        log.write()
        log.rename()
    log.write()
    Path(f"{log.path}.2").unlink()  # which holds what was read and one more
    again = Follower(log.path, follower.position)
    assert read_all(again) == log.written[5:]
    assert [note.partition(": ")[2] for note in again.notes] == [
        f"the file that was read to byte {follower.position and follower.position.offset} is gone; what followed is missing"
    ]
    again.close()


def test_a_log_that_is_cut_without_a_copy_is_read_from_its_start(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write(3)
    follower = Follower(log.path)
    assert len(read_all(follower)) == 3
    os.truncate(log.path, 0)
    assert follower.read() == []
    log.write(9)  # more than was read before: its length tells nothing
    assert read_all(follower) == log.written[3:]
    assert "cut at byte" in follower.notes[0]
    follower.close()


@pytest.mark.parametrize("more", [0, 1, 3])
def test_where_the_power_took_lines_the_file_is_read_anew(tmp_path: Path, more: int) -> None:
    log = Log(tmp_path)
    log.write(3)
    follower = Follower(log.path)
    read_all(follower)
    follower.close()
    os.truncate(log.path, log.path.stat().st_size - 100)
    with log.path.open("ab") as file:
        file.write(b"\n")
    log.write(more)
    again = Follower(log.path, follower.position)
    found = read_all(again)
    assert found[:2] == log.written[:2]
    assert found[3:] == log.written[3:]
    assert "read anew" in again.notes[0]
    again.close()


def test_what_is_left_in_a_file_that_was_moved_is_half_a_line(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write()
    with log.path.open("ab") as file:
        file.write(b'{"time":')
    follower = Follower(log.path)
    assert read_all(follower) == log.written
    log.path.rename(f"{log.path}.1")
    assert follower.read() == []
    log.write()
    assert read_all(follower) == [b'{"time":', log.written[-1]]
    follower.close()


def test_a_line_that_never_ends_is_passed_over(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write()
    with log.path.open("ab") as file:
        file.write(b"x" * 2 * CHUNK + b"\n")
    log.write()
    follower = Follower(log.path)
    found = read_all(follower)
    assert (found[0], found[-1]) == (log.written[0], log.written[-1])
    assert max(map(len, found)) <= CHUNK
    follower.close()


def test_a_broken_archive_is_told_of(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write(200)
    packed = gzip.compress(log.path.read_bytes())
    (tmp_path / "d.log.1.gz").write_bytes(packed[: len(packed) // 2])
    os.utime(tmp_path / "d.log.1.gz", ns=(1, 1))
    log.path.unlink()
    log.write()
    follower = Follower(log.path)
    assert read_all(follower)[-1] == log.written[-1]
    assert "a compressed file ends at byte" in follower.notes[0]
    follower.close()


def test_other_files_beside_it_are_none_of_it(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write()
    for name in ("d.log.bak", "d.logs", "d.log.1.xz", "d.log.db", "other.log.1"):
        (tmp_path / name).write_bytes(line(99) + b"\n")
    (tmp_path / "d.log.7").mkdir()
    follower = Follower(log.path)
    assert read_all(follower) == log.written
    follower.close()


def test_positions_are_texts() -> None:
    position = Position(7, 99, "ab12", 123)
    assert Position.read(str(position)) == position
