"""Built indexes on disk: whole or not there, and trusted only where others cannot write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from icapd.lists.collect import Collector
from icapd.lists.store import (
    ABOUT,
    MAX_KEPT,
    MAX_STAMPS,
    STAMPS,
    default_cache,
    open_built,
    open_stamped,
    write_stamp,
    writing,
)

DIGEST = "d" * 64


def save(cache: Path, digest: str, name: str = "a.example") -> None:
    with writing(cache) as writer:
        if writer is None:
            return
        collector = Collector(2)
        collector.add(0b01, "name", name)
        collector.add(0b10, "range", "4 16909060 16909060")
        collector.add(0b11, "md5", "ab" * 16)
        about = collector.finish(writer.write)
        writer.place(cache, digest, {**about, "lists": ["x", "y"]})


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    save(tmp_path / "c", DIGEST)
    return tmp_path / "c"


def hits(cache: Path, digest: str = DIGEST) -> tuple[str, ...] | None:
    built = open_built(cache, digest)
    return None if built is None else built[0].lookup("www.a.example")


def test_what_was_saved_is_mapped_again(cache: Path) -> None:
    built = open_built(cache, DIGEST)
    assert built is not None
    assert built[0].lookup("www.a.example") == ("x",)
    assert built[0].lookup("1.2.3.4") == ("y",)
    assert built[0].lookup_hash("ab" * 16) == ("x", "y")
    assert cache.stat().st_mode & 0o777 == 0o700
    assert (cache / DIGEST).stat().st_mode & 0o777 == 0o700
    assert {entry.name for entry in cache.iterdir()} == {DIGEST, ".lock"}  # nothing is left aside


def test_what_is_not_there_is_none(cache: Path, tmp_path: Path) -> None:
    assert hits(cache, "0" * 64) is None
    assert hits(tmp_path / "nowhere") is None


PARTS = [
    "keys0.trie",
    "keys0.numbers",
    "ranges4",
    "ranges4.numbers",
    "digests16",
    "digests16.names",
    "digests16.numbers",
    ABOUT,
]


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("damage", ["gone", "empty", "half", "longer", "noise", "bit"])
def test_what_is_not_whole_is_not_opened_and_built_again(cache: Path, name: str, damage: str) -> None:
    file = cache / DIGEST / name
    data = file.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
    damaged = {
        "empty": b"",
        "half": data[:middle],
        "longer": data + b"\0",
        "noise": os.urandom(len(data)),
        "bit": flipped,
    }
    file.unlink()
    if damage != "gone":
        file.write_bytes(damaged[damage])
    assert hits(cache) is None
    save(cache, DIGEST)
    assert hits(cache) == ("x",)


def test_anothers_index_under_our_name_is_not_opened(cache: Path) -> None:
    (cache / DIGEST).rename(cache / ("e" * 64))
    assert hits(cache, "e" * 64) is None


@pytest.mark.parametrize("where", ["", DIGEST])
def test_a_place_that_others_can_write_is_not_trusted(cache: Path, where: str) -> None:
    (cache / where).chmod(0o777)
    assert hits(cache) is None


def test_a_link_is_not_followed(cache: Path, tmp_path: Path) -> None:
    (cache / DIGEST).rename(tmp_path / "elsewhere")
    (cache / DIGEST).symlink_to(tmp_path / "elsewhere")
    assert hits(cache) is None


def test_a_place_that_cannot_be_written_gives_no_writer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with writing(tmp_path / "file" / "c") as writer:
        assert writer is None
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with writing(tmp_path / "open") as writer:
        assert writer is None


def test_what_is_sound_stays(cache: Path) -> None:
    before = (cache / DIGEST).stat().st_ino
    save(cache, DIGEST, "b.example")
    assert (cache / DIGEST).stat().st_ino == before
    assert hits(cache) == ("x",)


def test_what_a_killed_builder_left_is_cleared(cache: Path) -> None:
    (cache / ".new-abc").mkdir()
    (cache / ".new-abc" / "keys0.trie").write_text("half")
    save(cache, DIGEST)
    assert not (cache / ".new-abc").exists()


def test_old_indexes_go(cache: Path) -> None:
    os.utime(cache / DIGEST, (1, 1))
    for number in range(MAX_KEPT):
        save(cache, f"{number:064}")
    assert len([entry for entry in cache.iterdir() if len(entry.name) == 64]) == MAX_KEPT
    assert hits(cache) is None


def test_a_mapped_index_outlives_its_files(cache: Path) -> None:
    built = open_built(cache, DIGEST)
    assert built is not None
    for file in (cache / DIGEST).iterdir():
        file.unlink()
    assert built[0].lookup("a.example") == ("x",)


def test_a_stamp_leads_to_its_index(cache: Path) -> None:
    write_stamp(cache, "1" * 64, DIGEST)
    found = open_stamped(cache, "1" * 64)
    assert found is not None
    assert found[0].lookup("a.example") == ("x",)
    assert open_stamped(cache, "2" * 64) is None


@pytest.mark.parametrize("text", ["", "../" + DIGEST, DIGEST + "\n", "0" * 64])
def test_a_stamp_that_leads_elsewhere_is_none(cache: Path, text: str) -> None:
    write_stamp(cache, "1" * 64, DIGEST)
    (cache / STAMPS / ("1" * 64)).write_text(text)
    assert open_stamped(cache, "1" * 64) is None


def test_old_stamps_go(cache: Path) -> None:
    for number in range(MAX_STAMPS + 3):
        write_stamp(cache, f"{number:064}", DIGEST)
    assert len(list((cache / STAMPS).iterdir())) == MAX_STAMPS


def test_the_place_is_systemds_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/icapd:/other")
    assert default_cache() == Path("/var/cache/icapd/lists")
    monkeypatch.delenv("CACHE_DIRECTORY")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert default_cache() == Path("/x/icapd/lists")
