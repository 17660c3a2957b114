"""A snapshot in which everything is told."""

from __future__ import annotations

from icapd.metrics.snapshot import (
    CollectorFacts,
    ListFile,
    OutputFacts,
    ProcessFacts,
    ReloadFacts,
    ScannerFacts,
    Serving,
    Snapshot,
    WorkerFacts,
)
from icapd.metrics.words import AdapterRow, new_words, set_adapter

HOUR = 3600.0
NOW = 1_800_000_000.0


def full() -> Snapshot:
    words = new_words()
    set_adapter(words, AdapterRow("clamd", (1, 2, 3), 1.5))
    return Snapshot(
        started=NOW - HOUR,
        now=NOW,
        digest="0123456789abcdef",
        workers=(WorkerFacts(0, True, 3, 100, 1), WorkerFacts(1, True, 2, 50)),
        words=words,
        serving=Serving(
            (ScannerFacts("clamd", "clamd", "closed", version="ClamAV 1.4.3", database=NOW - 2 * HOUR),),
            (ListFile("ads", '/lists/a "b"\\{} .txt', NOW - HOUR),),
        ),
        reloads=ReloadFacts(1, 0, NOW - 60, 0.5),
        certificates={"icaps": NOW + HOUR, "ca": NOW + 2 * HOUR},
        processes=(ProcessFacts("main", 1 << 20, 9, 1.25), ProcessFacts("children", 2 << 20, 5)),
        collector=CollectorFacts(True, 1, (OutputFacts("store", 7, 12, 0.5),)),
    )
