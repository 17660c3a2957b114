"""Built indexes on disk: whole or not there, and trusted only where others cannot write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from icapd.lists.load import build_index
from icapd.lists.store import MAX_KEPT, default_cache, open_built, save_built

DIGEST = "d" * 64


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    built = build_index({"x": {"a.example"}, "y": {"b.example", "a.example"}})
    save_built(tmp_path / "c", DIGEST, built)
    return tmp_path / "c"


def test_what_was_saved_is_mapped_again(cache: Path) -> None:
    built = open_built(cache, DIGEST)
    assert built is not None
    assert built.index.lookup("www.a.example") == ("x", "y")
    assert built.index.lookup("b.example") == ("y",)
    assert cache.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in cache.iterdir()] == [DIGEST]  # nothing is left aside


def test_what_is_not_there_is_none(cache: Path, tmp_path: Path) -> None:
    assert open_built(cache, "0" * 64) is None
    assert open_built(tmp_path / "nowhere", DIGEST) is None


@pytest.mark.parametrize("name", ["names.trie", "groups.bin", "about.json"])
@pytest.mark.parametrize("damage", ["gone", "empty", "half", "noise"])
def test_what_is_not_whole_is_built_again(cache: Path, name: str, damage: str) -> None:
    file = cache / DIGEST / name
    data = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes({"empty": b"", "half": data[: len(data) // 2], "noise": b"\x00" * 7}[damage])
    assert open_built(cache, DIGEST) is None


@pytest.mark.parametrize("where", ["", DIGEST])
def test_a_place_that_others_can_write_is_not_trusted(cache: Path, where: str) -> None:
    (cache / where).chmod(0o777)
    assert open_built(cache, DIGEST) is None


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    save_built(tmp_path / "file" / "c", DIGEST, build_index({"x": {"a.example"}}))


def test_saving_twice_keeps_the_first(cache: Path) -> None:
    save_built(cache, DIGEST, build_index({"x": {"a.example"}}))
    built = open_built(cache, DIGEST)
    assert built is not None
    assert built.index.size == 2


def test_old_indexes_go(cache: Path) -> None:
    os.utime(cache / DIGEST, (1, 1))
    for number in range(MAX_KEPT):
        save_built(cache, f"{number:064}", build_index({"x": {"a.example"}}))
    assert len(list(cache.iterdir())) == MAX_KEPT
    assert open_built(cache, DIGEST) is None


def test_the_place_is_systemds_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/icapd:/other")
    assert default_cache() == Path("/var/cache/icapd/lists")
    monkeypatch.delenv("CACHE_DIRECTORY")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert default_cache() == Path("/x/icapd/lists")
