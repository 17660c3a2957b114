"""Lists from files: counted, digested, mapped the second time, built once however many ask."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from icapd.errors import ConfigErrors
from icapd.lists import FileReport, Ignored, ListSpec, Source, load_lists
from icapd.lists import load as loading
from icapd.lists.report import MAX_SHOWN

if TYPE_CHECKING:
    from pathlib import Path

NO_DOT = "a name without a dot: it would cover a whole top-level domain"
BIG_TEXT = "com\n" + "".join(f"name-{number}.example\n" for number in range(15_000))


def settle(file: Path) -> None:
    """Make a file one that was last changed long ago, as far as its stamp is concerned."""
    os.utime(file, (1, 1))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a test are too young for a stamp otherwise."""
    monkeypatch.setattr(loading, "SETTLED", -(10**18))


def test_a_report_counts_entries_and_tells_what_was_ignored(tmp_path: Path) -> None:
    file, more = tmp_path / "a", tmp_path / "b"
    file.write_text("a.example\nA.example.\ncom\n<p>\n<b>\n")
    more.write_text("b.example\n")
    lists = load_lists({"x": [file, more]})
    (report,) = lists.reports
    assert (report.name, report.entries, report.accepted, report.ignored) == ("x", 2, 3, 3)
    told = (Ignored("not a domain name", 2, (4, 5)), Ignored(NO_DOT, 1, (3,)))
    assert report.files == (
        FileReport(str(file), "domains", 2, told),
        FileReport(str(more), "domains", 1, ()),
    )
    assert lists.files == (file, more)


def test_all_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("a.example\n" + "<p>\n" * (MAX_SHOWN + 5))
    (report,) = load_lists({"x": [file]}).reports
    (ignored,) = report.files[0].ignored
    assert (ignored.count, ignored.lines) == (MAX_SHOWN + 5, tuple(range(2, MAX_SHOWN + 2)))


def test_the_digest_changes_exactly_when_the_entries_do(tmp_path: Path) -> None:
    file = tmp_path / "a"

    def digest(text: str, name: str = "x", kind: str = "files") -> str:
        file.write_text(text)
        return load_lists([ListSpec(name, (Source(file, kind),))]).digest

    first = digest("a.example\nb.example\nhttp://a.example/x\n10.0.0.0/8\n")
    assert digest("# comment\nB.EXAMPLE.\n\n10.0.0.0/8\na.example\nb.example\nhttp://a.example/x") == first
    others = [
        digest("a.example\nb.example\nhttp://a.example/x\n10.0.0.0/9\n"),
        digest("a.example\nb.example\nhttp://a.example/X\n10.0.0.0/8\n"),
        digest("a.example\nb.example\nhttp://a.example/x\n"),
        digest("a.example\nhttp://a.example/x\n10.0.0.0/8\n"),
        digest("a.example\nb.example\nc.example\nhttp://a.example/x\n10.0.0.0/8\n"),
        digest("a.example\nb.example\nhttp://a.example/x\n10.0.0.0/8\n", "y"),
        digest("||a.example^\n"),
        digest("@@||a.example^\n||b.example^\n"),
        digest("||b.example^\n"),
    ]
    assert len({first, *others}) == len(others) + 1


def test_lists_do_not_run_into_each_other_in_the_digest(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"

    def load(first: str, second: str) -> tuple[str, dict[str, str]]:
        one.write_text(first)
        two.write_text(second)
        lists = load_lists({"x": [one], "y": [two]})
        return lists.digest, dict(lists.digests)

    before, each = load("a.example\nb.example", "c.example")
    after, then = load("a.example", "b.example\nc.example")
    assert before != after
    assert each["x"] != then["x"]
    assert load("a.example\nb.example", "d.example")[1]["x"] == each["x"]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match=r"nothing: cannot be read: No such file"):
        load_lists({"x": [tmp_path / "nothing"]})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("<!doctype html><p>no</p>\n", "a:1: is a web page, not a list"),
        ("404\nnot found\n", "a:1: holds no entry: 2 lines ignored"),
        ("com\nnet\n", "a:1: holds no entry: 2 lines ignored"),
    ],
)
def test_a_file_that_is_no_list_is_told(tmp_path: Path, data: str, message: str) -> None:
    (tmp_path / "a").write_text(data)
    (tmp_path / "b").write_text("<html>")
    with pytest.raises(ConfigErrors) as caught:
        load_lists({"x": [tmp_path / "a"], "y": [tmp_path / "b"]})
    assert message in str(caught.value)
    assert "b:1: is a web page" in str(caught.value)  # all of them at once


def test_an_empty_file_is_an_empty_list(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("# none yet\n")
    assert load_lists({"x": [tmp_path / "a"]}).reports[0].entries == 0


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    keeps_open = os.open(tmp_path / "a", os.O_RDWR)
    try:
        with pytest.raises(ConfigErrors, match="is not a regular file"):
            load_lists({"x": [tmp_path / "a"]})
    finally:
        os.close(keeps_open)


def test_one_file_serves_several_lists(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a.example\n")
    (tmp_path / "b").write_text("b.example\n")
    a, b = Source(tmp_path / "a", "files"), Source(tmp_path / "b", "files")
    lists = load_lists([ListSpec("all", (a, b), "All"), ListSpec("all/a", (a,))])
    assert lists.lookup("a.example") == ("all", "all/a")
    assert lists.lookup("b.example") == ("all",)
    assert lists.categories == {"all": "All", "all/a": "all/a"}
    assert [report.entries for report in lists.reports] == [2, 1]


# --- the cache


def no_second_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "build", None)


def test_big_lists_are_mapped_the_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, cache = tmp_path / "a", tmp_path / "cache"
    file.write_text(BIG_TEXT)
    first = load_lists({"x": [file]}, cache)
    no_second_build(monkeypatch)
    monkeypatch.setattr(loading, "_file_digest", None)  # nor is it read
    second = load_lists({"x": [file]}, cache)
    assert (second.reports, second.digest, second.files) == (first.reports, first.digest, first.files)
    assert second.lookup("www.name-14999.example") == ("x",)
    assert second.lookup("name-15000.example") == ()


def test_a_young_file_is_read_again_but_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SETTLED", 10**18)
    file, cache = tmp_path / "a", tmp_path / "cache"
    file.write_text(BIG_TEXT)
    load_lists({"x": [file]}, cache)
    no_second_build(monkeypatch)
    assert load_lists({"x": [file]}, cache).lookup("name-1.example") == ("x",)
    assert not (cache / "stamps").exists()


@pytest.mark.parametrize("how", ["in place", "replaced", "same size and time"])
def test_a_changed_list_never_meets_its_old_index(tmp_path: Path, how: str) -> None:
    file, cache = tmp_path / "a", tmp_path / "cache"
    file.write_text(BIG_TEXT + "old.example\n")
    settle(file)
    assert load_lists({"x": [file]}, cache).lookup("old.example") == ("x",)
    if how == "replaced":
        (tmp_path / "b").write_text(BIG_TEXT + "new.example\n")
        (tmp_path / "b").replace(file)
    else:
        file.write_text(BIG_TEXT + "new.example\n")
    if how != "in place":
        settle(file)
    lists = load_lists({"x": [file]}, cache)
    assert (lists.lookup("old.example"), lists.lookup("new.example")) == ((), ("x",))


def test_the_same_contents_are_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, cache = tmp_path / "a", tmp_path / "cache"
    file.write_text(BIG_TEXT)
    first = load_lists({"x": [file]}, cache)
    no_second_build(monkeypatch)
    (tmp_path / "b").write_text(BIG_TEXT)
    (tmp_path / "b").replace(file)
    assert load_lists({"x": [file]}, cache).digest == first.digest


def test_small_lists_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a.example\n")
    load_lists({"x": [tmp_path / "a"]}, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(BIG_TEXT)
    (tmp_path / "file").write_text("")
    assert load_lists({"x": [tmp_path / "a"]}, tmp_path / "file" / "c").lookup("name-1.example") == ("x",)


def test_a_full_disk_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("icapd.lists.store._write", full)
    (tmp_path / "a").write_text(BIG_TEXT)
    assert load_lists({"x": [tmp_path / "a"]}, tmp_path / "cache").lookup("name-1.example") == ("x",)
    assert [entry.name for entry in (tmp_path / "cache").iterdir() if entry.is_dir()] == []


def test_several_tries_hold_what_one_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icapd.lists.build.PER_TRIE", 50_000)
    monkeypatch.setattr("icapd.lists.collect._SPOOLED", 500)
    file = tmp_path / "a"
    file.write_text(BIG_TEXT + "http://name-1.example/x\n")
    many = load_lists([ListSpec("x", (Source(file, "files"),))], tmp_path / "cache")
    monkeypatch.undo()
    one = load_lists([ListSpec("x", (Source(file, "files"),))], None)
    assert many.digest == one.digest
    assert (many.reports, len(many.index._tries)) == (one.reports, 8)
    for number in range(0, 15_000, 100):
        assert many.lookup(f"www.name-{number}.example") == ("x",)
        assert many.lookup(f"name{number}.example") == ()
    assert many.lookup_url("name-1.example", ("/x",)) == ("x",)
    leftovers = [path.name for path in (tmp_path / "cache").rglob("spool*")]
    assert leftovers == []


def test_a_file_that_changes_while_it_is_built_is_not_stamped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, cache = tmp_path / "a", tmp_path / "cache"
    file.write_text(BIG_TEXT + "old.example\n")
    build = vars(loading)["build"]

    def changing(*arguments: object) -> object:
        built = build(*arguments)
        file.write_text(BIG_TEXT + "new.example\n")
        return built

    monkeypatch.setattr(loading, "build", changing)
    load_lists({"x": [file]}, cache)
    assert load_lists({"x": [file]}, cache).lookup("new.example") == ("x",)
