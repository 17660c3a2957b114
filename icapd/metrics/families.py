"""The metrics: each with its name, kind, labels and what it says; docs/metrics.md is made from this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. `labels` in the order they are written."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    says: str
    labels: tuple[str, ...] = ()


FAMILIES: tuple[Family, ...] = (
    Family("icapd_build_info", "gauge", "1; which icapd this is.", ("version", "python")),
    Family("icapd_start_time_seconds", "gauge", "When it was started, seconds since the epoch."),
    Family("icapd_ready", "gauge", "1 if /readyz says so."),
    Family("icapd_draining", "gauge", "1 while it finishes what is under way, to end."),
    # What it is asked, and what becomes of it
    Family(
        "icapd_transactions_total",
        "counter",
        "Messages decided, by where Squid asks and what came of it.",
        ("point", "action"),
    ),
    Family("icapd_responses_total", "counter", "ICAP answers, by status or class of status.", ("status",)),
    Family("icapd_unanswered_total", "counter", "Messages whose client was gone before their answer."),
    Family("icapd_options_total", "counter", "OPTIONS that were answered."),
    Family("icapd_received_bytes_total", "counter", "Bytes of ICAP read from clients (of TLS: inside)."),
    Family("icapd_sent_bytes_total", "counter", "Bytes of ICAP written to clients (of TLS: inside)."),
    Family("icapd_connections_total", "counter", "Connections taken, those of too many included."),
    Family("icapd_strangers_total", "counter", "Connections closed at once, of others than `peers`."),
    Family("icapd_open_connections", "gauge", "Connections that are open."),
    Family("icapd_previews_total", "counter", "Messages whose body came with a preview."),
    Family("icapd_continues_total", "counter", "Of these, the ones whose rest was asked for (100 Continue)."),
    Family("icapd_late_blocks_total", "counter", "Messages blocked when a part had been passed on."),
    Family(
        "icapd_limits_hit_total",
        "counter",
        "Times that a bound of icapd.yaml ended something: connections, head, body, body_bytes, scan, drain "
        "(limits), spool (no room in spool.wait), unread (a client that does not read, limits.body).",
        ("limit",),
    ),
    Family("icapd_decision_lines_lost_total", "counter", "Lines of the decision log that were not written."),
    # Scanning
    Family(
        "icapd_scans_total",
        "counter",
        "Bodies judged: clean, found (anything), error (somebody could not look); cached: known from before.",
        ("result", "cached"),
    ),
    Family(
        "icapd_scan_duration_seconds",
        "histogram",
        "From a body's end to its verdict; all else is answered at once.",
    ),
    Family(
        "icapd_scanner_scans_total",
        "counter",
        "Questions to one adapter (the first 16 names since the start): clean, found, error.",
        ("scanner", "result"),
    ),
    Family("icapd_scanner_scan_seconds_total", "counter", "Time that one adapter took.", ("scanner",)),
    Family(
        "icapd_scanner_up",
        "gauge",
        "0 if the adapter cannot be asked now (its breaker is open), in any worker.",
        ("scanner", "kind", "on_error"),
    ),
    Family("icapd_scanner_info", "gauge", "1; what the scanner calls itself.", ("scanner", "version")),
    Family(
        "icapd_scanner_database_timestamp_seconds",
        "gauge",
        "When the scanner's signatures were made; only where it tells.",
        ("scanner",),
    ),
    Family("icapd_findings_total", "counter", "What was found in messages, by kind.", ("kind",)),
    Family("icapd_verdict_cache_hits_total", "counter", "Bodies whose verdict was remembered."),
    Family("icapd_verdict_cache_misses_total", "counter", "Bodies that had to be scanned."),
    Family(
        "icapd_verdict_cache_shared_total", "counter", "Bodies that waited for a scan of the same content."
    ),
    Family("icapd_verdict_cache_evicted_total", "counter", "Verdicts forgotten for want of room."),
    Family("icapd_verdict_cache_entries", "gauge", "Verdicts remembered."),
    Family("icapd_verdict_cache_bytes", "gauge", "Memory they take, about."),
    Family("icapd_spool_bytes", "gauge", "Bytes of bodies kept, in memory and on disk.", ("place",)),
    Family("icapd_spool_waiting", "gauge", "Bodies that wait for room."),
    Family("icapd_content_children", "gauge", "Processes that inspect bodies.", ("state",)),
    Family("icapd_content_waiting", "gauge", "Bodies that wait for one of them."),
    Family(
        "icapd_content_failures_total",
        "counter",
        "Inspections without a result: late (the process was killed), died, busy (none became free).",
        ("why",),
    ),
    # What it serves
    Family("icapd_policy_info", "gauge", "1; the policy in force.", ("digest",)),
    Family("icapd_reloads_total", "counter", "Reloads, adopted or refused.", ("result",)),
    Family("icapd_last_reload_success", "gauge", "0 if the last reload was refused; 1 before any."),
    Family("icapd_last_reload_timestamp_seconds", "gauge", "When the last reload ended; none before any."),
    Family("icapd_last_reload_duration_seconds", "gauge", "What it took; none before any."),
    Family(
        "icapd_list_modified_timestamp_seconds",
        "gauge",
        "When a list's file was changed last, as of the reload that read it; of more than 200 files "
        "only the oldest of each list.",
        ("list", "file"),
    ),
    Family(
        "icapd_certificate_expiry_timestamp_seconds",
        "gauge",
        "When a certificate ends: icaps (tls.certificate), ca (what clients trust: the .crt of squid.ca).",
        ("certificate",),
    ),
    # The processes
    Family("icapd_workers", "gauge", "Workers that there should be; 1 for a single process."),
    Family("icapd_workers_ready", "gauge", "Workers that serve."),
    Family("icapd_worker_restarts_total", "counter", "Times that another took its place.", ("worker",)),
    Family("icapd_worker_requests_total", "counter", "Decision ids given out by a worker.", ("worker",)),
    Family("icapd_worker_connections", "gauge", "Connections that a worker has.", ("worker",)),
    Family("icapd_collector_up", "gauge", "1 while the process that follows the decision log runs."),
    Family("icapd_collector_restarts_total", "counter", "Times that it was started anew."),
    Family(
        "icapd_collector_output_up",
        "gauge",
        "0 while the store, or a receiver of syslog, takes nothing: records wait in the log.",
        ("output",),
    ),
    Family("icapd_collector_records_total", "counter", "Lines of the log that an output took.", ("output",)),
    Family("icapd_collector_lag_bytes", "gauge", "Bytes of the log that wait for an output.", ("output",)),
    Family(
        "icapd_collector_lag_seconds", "gauge", "Time since an output had all there was to take.", ("output",)
    ),
    Family(
        "icapd_process_resident_memory_bytes",
        "gauge",
        "Resident memory: main (supervisor or the one process), workers, collector; all others: children.",
        ("process",),
    ),
    Family("icapd_process_open_fds", "gauge", "Open descriptors, of the same.", ("process",)),
    Family("icapd_process_cpu_seconds_total", "counter", "CPU time, of single processes.", ("process",)),
)
BY_NAME = {family.name: family for family in FAMILIES}
