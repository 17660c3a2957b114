"""Every metric has samples with its own labels; quick answers are counted among the others."""

from __future__ import annotations

from dataclasses import replace

from icapd.metrics import words as at
from icapd.metrics.families import BY_NAME, FAMILIES
from icapd.metrics.samples import samples_of
from icapd.metrics.snapshot import Snapshot, WorkerFacts
from tests.metrics.shots import full


def value(found: Snapshot, name: str, **labels: str) -> float:
    (one,) = [each for each in samples_of(found)[name] if dict(each.labels) == labels and not each.suffix]
    return one.value


def test_each_metric_is_told_and_nothing_else() -> None:
    found = samples_of(full())
    assert set(found) == {family.name for family in FAMILIES}
    for name, samples in found.items():
        for sample in samples:
            labels = tuple(key for key, _ in sample.labels if key != "le")
            assert labels == BY_NAME[name].labels
        assert len({(one.labels, one.suffix) for one in samples}) == len(samples)


def test_what_does_not_apply_is_not_told() -> None:
    found = samples_of(Snapshot(1.0, 2.0, "d", (WorkerFacts(0, True, 0, 0),)))
    missing = {family.name for family in FAMILIES} - {name for name, samples in found.items() if samples}
    assert missing == {
        "icapd_scanner_scans_total",
        "icapd_scanner_scan_seconds_total",
        "icapd_scanner_up",
        "icapd_scanner_info",
        "icapd_scanner_database_timestamp_seconds",
        "icapd_last_reload_timestamp_seconds",
        "icapd_last_reload_duration_seconds",
        "icapd_list_modified_timestamp_seconds",
        "icapd_certificate_expiry_timestamp_seconds",
        "icapd_collector_up",
        "icapd_collector_lag_bytes",
        "icapd_collector_lag_seconds",
        "icapd_collector_output_up",
        "icapd_collector_records_total",
        "icapd_collector_restarts_total",
        "icapd_process_resident_memory_bytes",
        "icapd_process_open_fds",
        "icapd_process_cpu_seconds_total",
    }


def test_quick_answers_are_transactions_and_responses() -> None:
    one = full()
    words = list(one.words)
    words[at.TRANSACTIONS + at.ALLOW] = 5
    words[at.QUICK + at.ALLOW] = 100
    words[at.QUICK + at.BLOCK] = 10
    words[at.QUICK + len(at.ACTIONS) + at.BYPASS] = 1
    words[at.RESPONSES] = 2
    found = replace(one, words=words)
    assert value(found, "icapd_transactions_total", point="reqmod", action="allow") == 105
    assert value(found, "icapd_transactions_total", point="respmod", action="bypass") == 1
    assert value(found, "icapd_responses_total", status="200") == 12
    assert value(found, "icapd_responses_total", status="204") == 101


def test_the_histogram_is_cumulative() -> None:
    one = full()
    for seconds in (0.001, 0.2, 100.0):
        at.count_duration(one.words, seconds)
    found = samples_of(one)["icapd_scan_duration_seconds"]
    buckets = [each.value for each in found if each.suffix == "_bucket"]
    assert buckets == sorted(buckets)
    assert [buckets[0], buckets[-2], buckets[-1]] == [1, 2, 3]
    assert {each.suffix: each.value for each in found if each.suffix != "_bucket"} == {
        "_sum": 100.201,
        "_count": 3,
    }
