"""Entries into the parts of an index."""

from __future__ import annotations

import pytest

from icapd.lists.collect import Collector
from icapd.lists.entry import FIELD
from icapd.lists.store import MemoryParts, open_parts


def test_more_sets_than_two_bytes_number() -> None:
    lists = [f"l{at}" for at in range(17)]
    collector = Collector(17)
    for mask in range(1, 70_000):
        collector.add(mask, "name", f"n{mask}.example")
    parts = MemoryParts()
    about = collector.finish(parts.write)
    assert about["width"] == 4
    index = open_parts({**about, "lists": lists}, parts)
    assert index.lookup("n69999.example") == tuple(f"l{at}" for at in range(17) if 69_999 >> at & 1)


def test_an_entry_counts_once_for_each_list() -> None:
    collector = Collector(2)
    for mask, kind, value in (
        (0b01, "name", "a.example"),
        (0b11, "name", "a.example"),
        (0b01, "url", f"a.example{FIELD}/x"),
        (0b01, "spelling", f"a.example{FIELD}/y"),
        (0b10, "except", "b.example"),
        (0b10, "range", "4 1 2"),
        (0b10, "md5", "ab" * 16),
        (0b10, "expression", "x"),
    ):
        collector.add(mask, kind, value)
    collector.finish(MemoryParts().write)
    assert collector.entries == [2, 4]


def test_several_tries_need_a_place_to_wait_in() -> None:
    with pytest.raises(ValueError, match="place to wait"):
        Collector(1, 2)
