"""What a process counts elsewhere, or has at the moment, gathered into its words; and what it serves with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from icapd.metrics.snapshot import MAX_FILES, ListFile, ScannerFacts, Serving
from icapd.metrics.words import (
    CHILDREN_DIED,
    CHILDREN_LATE,
    EVICTED,
    GAUGES,
    HITS,
    MISSES,
    NO_CHILD,
    SHARED,
    AdapterRow,
    adapters_of,
    set_adapter,
)

_MAX_TEXT = 300  # characters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from icapd.adapters.model import State
    from icapd.adapters.registry import Loaded
    from icapd.lists.load import ListSet
    from icapd.server.site import Generation, Site


class Gathering:
    """Of one site. Words that the process found there when it began are of those before it."""

    def __init__(self, site: Site, before: Sequence[int] = ()) -> None:
        self._site = site
        if before:
            site.counts[:] = before
        site.counts[GAUGES:] = [0] * (len(site.counts) - GAUGES)
        self._before = tuple(site.counts)
        self._adapters = tuple(adapters_of(site.counts))
        self._generation: Generation | None = None
        self._lists: tuple[ListFile, ...] = ()

    def words(self) -> list[int]:
        """Return the site's words, all of them up to date."""
        site, words, before = self._site, self._site.counts, self._before
        site.settle()
        cache = site.generation.cache
        if cache is not None:
            known = cache.statistics
            counted = (
                (HITS, known.hits),
                (MISSES, known.misses),
                (SHARED, known.coalesced),
                (EVICTED, known.evicted),
                (CHILDREN_LATE, known.scans.late),
                (CHILDREN_DIED, known.scans.died),
                (NO_CHILD, known.scans.busy),
            )
            for place, value in counted:
                words[place] = before[place] + value
            for name, one in known.scans.adapters.items():
                row = AdapterRow(name, (one.clean, one.found, one.errors), one.seconds)
                set_adapter(words, row, self._adapters)
        entries, size = (0, 0) if cache is None else (cache.statistics.entries, cache.statistics.bytes)
        spools = site.spools
        load = getattr(site.generation.scans.scanners, "load", (0, 0, 0))
        words[GAUGES:] = [spools.memory, spools.disk, spools.waiting, entries, size, *load]
        return words

    def serving(self) -> Serving:
        """Return what the site serves with."""
        generation = self._site.generation
        if generation is not self._generation:
            self._generation = generation
            self._lists = _files_of(generation.policy.lists)
        return Serving(_scanners_of(generation), self._lists)


def _scanners_of(generation: Generation) -> tuple[ScannerFacts, ...]:
    states: Iterable[tuple[Loaded, State]] = getattr(generation.scans.scanners, "states", tuple)()
    return tuple(
        ScannerFacts(
            one.name, one.kind, one.on_error, state.up, state.why, state.version[:_MAX_TEXT], state.database
        )
        for one, state in states
    )


def _files_of(lists: ListSet) -> tuple[ListFile, ...]:
    """Return the lists' files with their times; those of one list that are too many as its oldest."""
    found = []
    for report in lists.reports:
        for file in report.files:
            try:
                modified = Path(file.file).stat().st_mtime
            except OSError:
                continue  # it has gone since it was read
            found.append(ListFile(report.name, file.file, modified))
    if len(found) <= MAX_FILES:
        return tuple(found)
    oldest: dict[str, ListFile] = {}
    for one in found:
        if one.list not in oldest or one.modified < oldest[one.list].modified:
            oldest[one.list] = one
    return tuple(sorted(oldest.values(), key=lambda one: one.modified)[:MAX_FILES])
