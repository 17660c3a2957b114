"""A report adds up its files."""

from __future__ import annotations

from icapd.lists import FileReport, Ignored, ListReport


def test_a_report_adds_up_its_files() -> None:
    files = (
        FileReport("a", "domains", 3, (Ignored("x", 2, (1, 2)), Ignored("y", 1, (9,)))),
        FileReport("b", "URLs", 4, (Ignored("x", 5, (1,)),)),
    )
    report = ListReport("l", 6, files)
    assert (report.accepted, report.ignored) == (7, 8)
