"""Words of this life on top of those of the lives before; what a site serves with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from icapd.metrics import words as at
from icapd.metrics.snapshot import MAX_FILES
from icapd.server.gathering import Gathering

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from icapd.server.site import Site


def test_counts_go_on_where_the_one_before_ended(make_site: Callable[..., Site]) -> None:
    site = make_site()
    cache = site.generation.cache
    assert cache is not None
    gathering = Gathering(site)
    site.counts[at.OPTIONS] += 3
    cache.statistics.hits = 5
    cache.statistics.entries = 7
    cache.statistics.scans.died = 1
    cache.statistics.scans.told("clamd", found=False, failed=False, seconds=2.0)
    site.spools.memory = 100
    first = list(gathering.words())
    assert (first[at.OPTIONS], first[at.HITS], first[at.CHILDREN_DIED]) == (3, 5, 1)
    assert (first[at.GAUGES], first[at.GAUGES + at.GAUGE_NAMES.index("cache_entries")]) == (100, 7)

    again = make_site()
    later = Gathering(again, first)
    second = list(later.words())
    assert second[: at.GAUGES] == first[: at.GAUGES]
    assert second[at.GAUGES :] == [0] * len(at.GAUGE_NAMES)
    again.counts[at.OPTIONS] += 1
    assert again.generation.cache is not None
    again.generation.cache.statistics.scans.told("clamd", found=True, failed=False, seconds=1.0)
    words = later.words()
    assert words[at.OPTIONS] == 4
    assert list(at.adapters_of(words)) == [at.AdapterRow("clamd", (1, 1, 0), 3.0)]


def test_files_of_lists_have_the_times_they_were_loaded_with(
    tmp_path: Path, make_site: Callable[..., Site]
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("a.example\n")
        os.utime(tmp_path / f"{number}.txt", (1000 + number, 1000 + number))
    lists = {"one": {"domains": ["1.txt", "0.txt"]}, "two": {"domains": ["2.txt"]}}
    gathering = Gathering(make_site(policy={"lists": lists, "access": []}))
    found = gathering.serving().lists
    assert {(one.list, one.file, one.modified) for one in found} == {
        ("one", str(tmp_path / "0.txt"), 1000.0),
        ("one", str(tmp_path / "1.txt"), 1001.0),
        ("two", str(tmp_path / "2.txt"), 1002.0),
    }
    os.utime(tmp_path / "0.txt")
    assert gathering.serving().lists == found


def test_of_too_many_files_the_oldest_of_each_list(tmp_path: Path, make_site: Callable[..., Site]) -> None:
    names = [f"{number}.txt" for number in range(MAX_FILES + 1)]
    for number, name in enumerate(names):
        (tmp_path / name).write_text(f"a{number}.example\n")
        os.utime(tmp_path / name, (1000 + number, 1000 + number))
    site = make_site(policy={"lists": {"many": {"domains": names}}, "access": []})
    assert [(one.list, one.modified) for one in Gathering(site).serving().lists] == [("many", 1000.0)]
