"""What is counted of a message when its line is written, and when its body was scanned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.metrics.words import (
    ACTIONS,
    ALLOW,
    BLOCK,
    BYPASS,
    ERROR,
    FINDINGS,
    KINDS,
    LATE,
    POINTS,
    REDIRECT,
    REFUSE,
    RESPONSES,
    RESULTS,
    SCANS,
    STATUSES,
    TRANSACTIONS,
    UNANSWERED,
    count_duration,
)
from icapd.policy import Allow, Block, Bypass, Redirect, Refuse

if TYPE_CHECKING:
    from icapd.adaptation import Scanned
    from icapd.policy import Decision

_COUNTED: dict[type, int] = {Allow: ALLOW, Bypass: BYPASS, Block: BLOCK, Redirect: REDIRECT, Refuse: REFUSE}
_POINTS = {point: TRANSACTIONS + at * len(ACTIONS) for at, point in enumerate(POINTS)}
_ANSWERS = {200: RESPONSES + STATUSES.index("200"), 204: RESPONSES + STATUSES.index("204"), 0: UNANSWERED}
_FINDINGS = {kind: FINDINGS + at for at, kind in enumerate(KINDS)}


def count_recorded(
    counts: list[int], point: str, decision: Decision | None, status: int, *, late: bool
) -> None:
    """Count a message whose line is written; an ICAP error is counted where it is sent."""
    action = ERROR if decision is None else _COUNTED.get(type(decision.action), ERROR)
    counts[_POINTS[point] + action] += 1
    if status in _ANSWERS:
        counts[_ANSWERS[status]] += 1
    if late:
        counts[LATE] += 1
    if decision is not None and decision.findings:
        for finding in decision.findings:
            counts[_FINDINGS[finding.kind]] += 1


def count_scanned(counts: list[int], scanned: Scanned, seconds: float) -> None:
    """Count what came of a body."""
    result = RESULTS.index("error" if scanned.errors else "found" if scanned.findings else "clean")
    counts[SCANS + result + (len(RESULTS) if scanned.cached else 0)] += 1
    count_duration(counts, seconds)
