"""Bodies in memory and in files: all of it is there, and the budget holds."""

from __future__ import annotations

import errno
import hashlib
import os
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.bodies import SpoolOptions
from icapd.errors import IcapdError
from icapd.server.spool import Spools

if TYPE_CHECKING:
    from pathlib import Path

PATTERN = random.Random(1).randbytes(100_000)


def spools(directory: Path, *, each: int = 1000, memory: int = 5000, disk: int = 50_000) -> Spools:
    return Spools(SpoolOptions(directory=directory, body_memory=each, memory=memory, disk=disk))


@given(st.data())
def test_a_body_is_what_came_however_it_came(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    budget = spools(tmp_path_factory.getbasetemp(), each=data.draw(st.sampled_from([0, 10, 1000])))
    spool = budget.open()
    content = b""
    for size in data.draw(st.lists(st.sampled_from([1, 9, 10, 11, 500, 1000, 3000]), max_size=8)):
        content += PATTERN[len(content) : len(content) + size]
        assert spool.add(content[-size:])
        at = data.draw(st.integers(0, len(content)))
        assert spool.read(at, 700) == content[at : at + 700]
    spool.end()
    assert (spool.size, spool.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert budget.memory + budget.disk == len(content)
    if data.draw(st.booleans()):
        assert os.pread(spool.fileno(), 100_000, 0) == content
    assert spool.read(0, 100_000) == content
    spool.close()
    assert (budget.memory, budget.disk) == (0, 0)


def test_keys_are_of_content_alone(tmp_path: Path) -> None:
    budget = spools(tmp_path)
    keys = []
    for cuts in ((2000,), (700, 2000), (1, 2, 1900, 2000)):
        spool = budget.open()
        at = 0
        for cut in cuts:
            spool.add_run(b"x" + PATTERN[at:cut], ((1, 1 + cut - at),))
            at = cut
        spool.end()
        keys.append(spool.key)
        spool.close()
    assert len(set(keys)) == 1
    for content in (PATTERN[:1999], PATTERN[:1999] + b"?", b""):
        spool = budget.open()
        spool.add(content)
        spool.end()
        assert spool.key not in keys
        spool.close()
    other = spools(tmp_path).open()  # another process, as it were
    other.add(PATTERN[:2000])
    other.end()
    assert other.key not in keys


def test_a_file_has_no_name(tmp_path: Path) -> None:
    spool = spools(tmp_path).open()
    assert spool.add(PATTERN[:2000])
    assert list(tmp_path.iterdir()) == []
    spool.close()


def test_a_file_system_without_nameless_files_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refuse(path: object, flags: int, *rest: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not here")
        return real(path, flags, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("icapd.server.spool.os.open", refuse)
    spool = spools(tmp_path).open()
    assert spool.add(PATTERN[:2000])
    assert spool.read(0, 3000) == PATTERN[:2000]
    assert list(tmp_path.iterdir()) == []
    spool.close()


def test_those_who_find_no_room_wait_in_order(tmp_path: Path) -> None:
    budget = spools(tmp_path, each=0, disk=1000)
    first, second, third = (budget.open() for _ in range(3))
    assert first.add(PATTERN[:900])
    told = []
    for name, spool in (("second", second), ("third", third)):
        assert not spool.add(PATTERN[:900])
        assert spool.read(0, 1000) == PATTERN[:900]  # nothing is lost
        budget.wait(spool, lambda name=name: told.append(name))  # type: ignore[misc]
    budget.serve()
    assert told == []
    first.close()
    assert told == ["second"]
    assert second.settled
    assert not third.settled
    second.close()
    assert told == ["second", "third"]
    third.close()
    assert budget.disk == 0


def test_a_disk_that_is_full_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = spools(tmp_path)
    spool = budget.open()
    assert spool.add(PATTERN[:900])
    full = True
    real = os.pwritev

    def write(file: int, parts: list[memoryview], at: int) -> int:
        if full:
            if at == 0:
                return real(file, [parts[0][:100]], at)  # the last of what there was
            raise OSError(errno.ENOSPC, "full")
        return real(file, parts, at)

    monkeypatch.setattr("icapd.server.spool.os.pwritev", write)
    assert not spool.add(PATTERN[900:3000])
    assert spool.read(0, 5000) == PATTERN[:3000]
    full = False
    budget.wait(spool, lambda: None)
    budget.serve()
    assert spool.settled
    assert spool.read(0, 5000) == PATTERN[:3000]
    spool.close()
    assert (budget.memory, budget.disk) == (0, 0)


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    old, new, other = tmp_path / "icapd-body-1", tmp_path / "icapd-body-2", tmp_path / "else"
    for path in (old, new, other):
        path.touch()
    os.utime(old, (1, 1))
    os.utime(other, (1, 1))
    spools(tmp_path).prepare()
    assert sorted(tmp_path.iterdir()) == [other, new]


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(IcapdError, match=r"spool\.directory .*nowhere: no file can be made there"):
        spools(tmp_path / "nowhere").prepare()
