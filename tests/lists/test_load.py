"""Lists from files: counted, digested, and mapped the second time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.lists import load as loading
from icapd.lists import load_lists

if TYPE_CHECKING:
    from pathlib import Path


def test_a_report_counts_names_and_tells_what_was_ignored(tmp_path: Path) -> None:
    file, more = tmp_path / "a", tmp_path / "b"
    file.write_text("a.example\nA.example.\ncom\n<html>\n<p>\n")
    more.write_text("b.example\n")
    lists = load_lists({"x": [file, more]})
    (report,) = lists.reports
    assert (report.name, report.accepted, report.ignored) == ("x", 2, 3)
    assert report.reasons[0] == ("not a domain name", 2)
    assert [(each.file, each.line) for each in report.examples] == [(str(file), n) for n in (3, 4, 5)]
    assert lists.files == (file, more)


def test_the_digest_changes_exactly_when_the_names_do(tmp_path: Path) -> None:
    file = tmp_path / "a"

    def digest(text: str, name: str = "x") -> str:
        file.write_text(text)
        return load_lists({name: [file]}).digest

    first = digest("a.example\nb.example\n")
    assert digest("# comment\nB.EXAMPLE.\n\na.example\nb.example") == first
    assert digest("a.example\n") != first
    assert digest("a.example\nb.example\nc.example\n") != first
    assert digest("a.example\nb.example\n", "y") != first


def test_lists_do_not_run_into_each_other_in_the_digest(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"

    def digest(first: str, second: str) -> str:
        one.write_text(first)
        two.write_text(second)
        return load_lists({"x": [one], "y": [two]}).digest

    assert digest("a.example\nb.example", "c.example") != digest("a.example", "b.example\nc.example")


def test_a_missing_file_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nothing"):
        load_lists({"x": [tmp_path / "nothing"]})


def test_big_lists_are_mapped_the_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    file.write_text("com\n" + "".join(f"name-{number}.example\n" for number in range(15_000)))
    cache = tmp_path / "cache"
    first = load_lists({"x": [file]}, cache)
    monkeypatch.setattr(loading, "build_index", None)  # a second build would fail
    second = load_lists({"x": [file]}, cache)
    assert (second.reports, second.digest, second.files) == (first.reports, first.digest, first.files)
    assert second.lookup("www.name-14999.example") == ("x",)
    assert second.lookup("name-15000.example") == ()


def test_a_changed_list_never_meets_its_old_index(tmp_path: Path) -> None:
    file, cache = tmp_path / "a", tmp_path / "cache"
    text = "".join(f"name-{number}.example\n" for number in range(15_000))
    file.write_text(text + "old.example\n")
    assert load_lists({"x": [file]}, cache).lookup("old.example") == ("x",)
    file.write_text(text + "new.example\n")
    lists = load_lists({"x": [file]}, cache)
    assert (lists.lookup("old.example"), lists.lookup("new.example")) == ((), ("x",))


def test_small_lists_leave_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("a.example\n")
    load_lists({"x": [file]}, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
