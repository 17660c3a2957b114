"""A report names the first lines ignored and counts all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.lists import load_lists
from icapd.lists.report import MAX_SHOWN

if TYPE_CHECKING:
    from pathlib import Path


def test_all_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("<p>\n" * (MAX_SHOWN + 5))
    (report,) = load_lists({"x": [file]}).reports
    assert report.accepted == 0
    assert report.ignored == MAX_SHOWN + 5
    assert [each.line for each in report.examples] == list(range(1, MAX_SHOWN + 1))
