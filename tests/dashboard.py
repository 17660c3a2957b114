"""deploy/grafana/icapd.json: `python -m tests.dashboard` writes it anew.

Made here since Grafana's JSON says everything many times over; who changes panels in Grafana brings the
queries back to this file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "deploy" / "grafana" / "icapd.json"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_OF = '{job=~"$job",instance=~"$instance"}'
_WIDTH = 24
_GREEN, _ORANGE, _RED = "green", "orange", "red"
Panel = dict[str, Any]


def _with(**labels: str) -> str:
    """The selector of a metric with further labels."""
    return _OF[:-1] + "".join(f',{name}=~"{value}"' for name, value in labels.items()) + "}"


def _rate(name: str, by: str = "", **labels: str) -> str:
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({name}{_with(**labels)}[$__rate_interval]))"


def _now(name: str, by: str = "", **labels: str) -> str:
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} ({name}{_with(**labels)})"


def _share(part: str, whole: str) -> str:
    return f"{part} / ({whole} > 0)"


def _quantile(share: float) -> str:
    return f"histogram_quantile({share}, {_rate('icapd_scan_duration_seconds_bucket', 'le')})"


def _steps(*steps: tuple[float | None, str]) -> dict[str, Any]:
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for value, color in steps]}


def _targets(queries: dict[str, str], *, instant: bool) -> list[dict[str, Any]]:
    return [
        {
            "datasource": _SOURCE,
            "refId": chr(ord("A") + at),
            "expr": expr,
            "legendFormat": legend,
            "instant": instant,
            "range": not instant,
        }
        for at, (legend, expr) in enumerate(queries.items())
    ]


def stat(title: str, expr: str, unit: str, thresholds: dict[str, Any], says: str = "") -> Panel:
    """One number."""
    return {
        "type": "stat",
        "title": title,
        "description": says,
        "datasource": _SOURCE,
        "targets": _targets({title: expr}, instant=True),
        "fieldConfig": {"defaults": {"unit": unit, "thresholds": thresholds}, "overrides": []},
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"]},
            "colorMode": "background",
            "graphMode": "none",
        },
        "gridPos": {"w": 4, "h": 4},
    }


def graph(title: str, queries: dict[str, str], unit: str, says: str = "", *, stacked: bool = False) -> Panel:
    """Lines over time."""
    custom: dict[str, Any] = {"fillOpacity": 20 if stacked else 0, "showPoints": "never"}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    return {
        "type": "timeseries",
        "title": title,
        "description": says,
        "datasource": _SOURCE,
        "targets": _targets(queries, instant=False),
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "gridPos": {"w": 8, "h": 8},
    }


def table(title: str, expr: str, unit: str, says: str, names: dict[str, str]) -> Panel:
    """The newest values with their labels."""
    target = _targets({"": expr}, instant=True)[0] | {"format": "table"}
    hidden = {"Time": True, "job": True, "__name__": True}
    return {
        "type": "table",
        "title": title,
        "description": says,
        "datasource": _SOURCE,
        "targets": [target],
        "fieldConfig": {"defaults": {}, "overrides": [_unit_of("Value", unit)]},
        "transformations": [{"id": "organize", "options": {"excludeByName": hidden, "renameByName": names}}],
        "options": {"sortBy": [{"displayName": names.get("Value", "Value"), "desc": False}]},
        "gridPos": {"w": 12, "h": 8},
    }


def _unit_of(name: str, unit: str) -> dict[str, Any]:
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": unit}]}


_GOOD_IF_ONE = _steps((None, _RED), (1, _GREEN))
_GOOD_IF_NONE = _steps((None, _GREEN), (1, _RED))
_PLAIN = _steps((None, "blue"))
_TRANSACTIONS = "icapd_transactions_total"
_HITS = "icapd_verdict_cache_hits_total"
_MISSES = "icapd_verdict_cache_misses_total"
_SCANNED = "icapd_scanner_scans_total"

ROWS: dict[str, list[Panel]] = {
    "Now": [
        stat("Ready", f"min(icapd_ready{_OF})", "bool_yes_no", _GOOD_IF_ONE, "0: /readyz says why"),
        stat("Requests", _rate(_TRANSACTIONS), "reqps", _PLAIN),
        stat(
            "Blocked",
            _share(_rate(_TRANSACTIONS, action="block|redirect|refuse"), _rate(_TRANSACTIONS)),
            "percentunit",
            _PLAIN,
        ),
        stat("Scanners down", f"sum(1 - icapd_scanner_up{_OF}) or vector(0)", "none", _GOOD_IF_NONE),
        stat(
            "Last reload", f"min(icapd_last_reload_success{_OF})", "bool_yes_no", _GOOD_IF_ONE, "No: refused"
        ),
        stat(
            "Lines lost, 24 h",
            f"sum(increase(icapd_decision_lines_lost_total{_OF}[24h]))",
            "short",
            _GOOD_IF_NONE,
        ),
    ],
    "Traffic": [
        graph("Requests by action", {"{{action}}": _rate(_TRANSACTIONS, "action")}, "reqps", stacked=True),
        graph(
            "Blocked share",
            {
                "{{point}}": _share(
                    _rate(_TRANSACTIONS, "point", action="block|redirect|refuse"),
                    _rate(_TRANSACTIONS, "point"),
                )
            },
            "percentunit",
        ),
        graph(
            "Errors",
            {
                "not decided": _rate(_TRANSACTIONS, action="error"),
                "answered {{status}}": _rate("icapd_responses_total", "status", status="4xx|5xx"),
                "client gone": _rate("icapd_unanswered_total"),
                "blocked late": _rate("icapd_late_blocks_total"),
            },
            "reqps",
        ),
        graph("ICAP answers", {"{{status}}": _rate("icapd_responses_total", "status")}, "reqps"),
        graph(
            "Bytes",
            {"received": _rate("icapd_received_bytes_total"), "sent": _rate("icapd_sent_bytes_total")},
            "Bps",
        ),
        graph(
            "Connections",
            {
                "open": _now("icapd_open_connections"),
                "of strangers, per s": _rate("icapd_strangers_total"),
                "new, per s": _rate("icapd_connections_total"),
            },
            "short",
        ),
        graph(
            "Previews",
            {"with preview": _rate("icapd_previews_total"), "rest asked for": _rate("icapd_continues_total")},
            "reqps",
        ),
        graph("Limits hit", {"{{limit}}": _rate("icapd_limits_hit_total", "limit")}, "ops"),
        graph("Requests by worker", {"{{worker}}": _rate("icapd_worker_requests_total", "worker")}, "reqps"),
    ],
    "Scanning": [
        graph(
            "Time to the verdict",
            {"p50": _quantile(0.5), "p90": _quantile(0.9), "p99": _quantile(0.99)},
            "s",
            "Of bodies that are scanned; all else is answered at once.",
        ),
        graph("Scans", {"{{result}}": _rate("icapd_scans_total", "result")}, "ops", stacked=True),
        graph("Findings", {"{{kind}}": _rate("icapd_findings_total", "kind")}, "ops", stacked=True),
        graph(
            "Verdicts known from before",
            {"share": _share(_rate(_HITS), f"{_rate(_HITS)} + {_rate(_MISSES)}")},
            "percentunit",
        ),
        graph("Scanners' answers", {"{{scanner}} {{result}}": _rate(_SCANNED, "scanner, result")}, "ops"),
        graph(
            "Scanners' time for an answer",
            {
                "{{scanner}}": _share(
                    _rate("icapd_scanner_scan_seconds_total", "scanner"), _rate(_SCANNED, "scanner")
                )
            },
            "s",
        ),
        graph(
            "Inspection",
            {
                "{{state}}": _now("icapd_content_children", "state"),
                "bodies waiting": _now("icapd_content_waiting"),
                "{{why}}, per s": _rate("icapd_content_failures_total", "why"),
            },
            "short",
        ),
        graph(
            "Bodies kept",
            {"{{place}}": _now("icapd_spool_bytes", "place"), "waiting": _now("icapd_spool_waiting")},
            "bytes",
        ),
        graph(
            "Verdict cache",
            {
                "verdicts": _now("icapd_verdict_cache_entries"),
                "evicted, per s": _rate("icapd_verdict_cache_evicted_total"),
            },
            "short",
        ),
        table(
            "Scanners",
            f"icapd_scanner_up{_OF}",
            "bool_yes_no",
            "Whether each can be asked.",
            {"Value": "up"},
        ),
        table(
            "Age of signatures",
            f"time() - icapd_scanner_database_timestamp_seconds{_OF}",
            "s",
            "Of scanners that tell.",
            {"Value": "age"},
        ),
    ],
    "What it serves": [
        table(
            "Age of lists",
            f"time() - icapd_list_modified_timestamp_seconds{_OF}",
            "s",
            "As of the reload that read them.",
            {"Value": "age"},
        ),
        table(
            "Certificates end in",
            f"icapd_certificate_expiry_timestamp_seconds{_OF} - time()",
            "s",
            "ca: what Squid signs sites with. icaps: icapd's own.",
            {"Value": "left"},
        ),
        table("Policy", f"icapd_policy_info{_OF}", "none", "All machines should have one.", {"Value": "is"}),
        graph(
            "Reloads",
            {
                "{{result}}": f"sum by (result) (increase(icapd_reloads_total{_OF}[$__rate_interval]))",
                "seconds for the last": f"max(icapd_last_reload_duration_seconds{_OF})",
            },
            "short",
        ),
    ],
    "Processes": [
        graph(
            "Memory",
            {"{{process}}": _now("icapd_process_resident_memory_bytes", "process")},
            "bytes",
            "Resident; what processes share is counted in each.",
            stacked=True,
        ),
        graph("CPU", {"{{process}}": _rate("icapd_process_cpu_seconds_total", "process")}, "percentunit"),
        graph("Descriptors", {"{{process}}": _now("icapd_process_open_fds", "process")}, "short"),
        graph(
            "Workers",
            {
                "wanted": _now("icapd_workers"),
                "serving": _now("icapd_workers_ready"),
                "restarts, 5 min": f"sum(increase(icapd_worker_restarts_total{_OF}[5m]))",
            },
            "short",
        ),
        graph("Connections by worker", {"{{worker}}": _now("icapd_worker_connections", "worker")}, "short"),
        graph(
            "Records behind the log",
            {"{{output}}": f"max by (output) (icapd_collector_lag_seconds{_OF})"},
            "s",
            "What the store and receivers of syslog have yet to take; it waits in the log.",
        ),
        graph(
            "Records",
            {
                "{{output}}": _rate("icapd_collector_records_total", "output"),
                "lines lost": _rate("icapd_decision_lines_lost_total"),
            },
            "ops",
        ),
    ],
}


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _placed() -> list[Panel]:
    """All panels, from left to right and top to bottom."""
    placed: list[Panel] = []
    y = 0
    for title, panels in ROWS.items():
        placed.append({"type": "row", "title": title, "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1}})
        x, y, height = 0, y + 1, 0
        for panel in panels:
            size = panel["gridPos"]
            if x + size["w"] > _WIDTH:
                x, y, height = 0, y + height, 0
            placed.append(panel | {"gridPos": {"x": x, "y": y, **size}})
            x, height = x + size["w"], max(height, size["h"])
        y += height
    return [panel | {"id": number} for number, panel in enumerate(placed, 1)]


def dashboard() -> str:
    """Return the file."""
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    board = {
        "uid": "icapd",
        "title": "icapd",
        "tags": ["icapd", "squid"],
        "schemaVersion": 38,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                source,
                _variable("job", "label_values(icapd_build_info, job)"),
                _variable("instance", 'label_values(icapd_build_info{job=~"$job"}, instance)'),
            ]
        },
        "panels": _placed(),
    }
    return json.dumps(board, indent=1, ensure_ascii=False) + "\n"


def queries() -> list[str]:
    """Return what the panels ask."""
    found = [target["expr"] for panels in ROWS.values() for panel in panels for target in panel["targets"]]
    return [str(each) for each in found]


if __name__ == "__main__":
    FILE.write_text(dashboard(), encoding="utf-8")
