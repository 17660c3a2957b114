"""An entry is found again where the index says it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.lists import ListSpec, Source, load_lists
from icapd.lists.find import Question, entry_text, find_entries

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
a.example
10.0.0.0/8
b.example/p/q
www.b.example/s?id=1
c.example/x%2579
2001:db8::1-2001:db8::3
"""
MD5 = "44d88612fea8a8f36de82e1278abb02f"


@pytest.mark.parametrize(
    ("question", "lines"),
    [
        (Question("www.a.example"), [1]),
        (Question("nota.example"), []),
        (Question("10.1.2.3"), [2]),
        (Question("11.1.2.3"), []),
        (Question("2001:db8::2"), [6]),
        (Question("b.example", ("/P/q/r",)), [3]),
        (Question("b.example", ("/p/qq",)), []),
        (Question("b.example", ("/s",), "id=1"), [4]),
        (Question("b.example", ("/s",)), []),
        (Question("c.example", ("/xy", "/other")), [5]),
        (Question(digest=MD5), []),
    ],
)
def test_the_index_and_the_files_agree(tmp_path: Path, question: Question, lines: list[int]) -> None:
    (tmp_path / "a").write_text(TEXT)
    specs = (ListSpec("x", (Source(tmp_path / "a", "files"),)),)
    assert [found.line for found in find_entries(specs, question)] == lines
    index = load_lists(specs)
    listed = index.lookup(question.host) or index.lookup_url(question.host, question.paths, question.query)
    assert bool(listed) == bool(lines)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("range", "4 1 1", "0.0.0.1"),
        ("range", "4 16909056 16909311", "1.2.3.0/24"),
        ("range", "6 1 2", "::1-::2"),
        ("url", "a.example\x1f/x\x1fq", "a.example/x?q"),
        ("md5", f"{MD5}\x1fEicar", f"{MD5} Eicar"),
        ("name", "a.example", "a.example"),
    ],
)
def test_an_entry_is_shown_as_it_would_be_written(kind: str, value: str, text: str) -> None:
    assert entry_text(kind, value) == text
