"""The demo's table: one line a request, printed as it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.demo.origin import PAGE_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icapd.demo.client import Seen
    from icapd.demo.decisions import Record
    from icapd.demo.run import Result

_COLUMNS = (
    ("", 2),
    ("case", 32),
    ("request", 41),
    ("decision", 16),
    ("rule", 13),
    ("origin", 9),
    ("client saw", 24),  # the last one, since a redirect's target is as long as it is
)


def header() -> str:
    """Return the column names and a rule under them."""
    return _line(name for name, _ in _COLUMNS) + "\n" + _line("-" * width for _, width in _COLUMNS)


def row(result: Result) -> str:
    """One result; the line after a wrong one says how it differs."""
    exchange = result.exchange
    cells = (
        "ok" if not result.differences else "NO",
        result.case.title,
        exchange.url,
        *_decided(result.decision),
        "contacted" if exchange.contacts else "untouched",
        describe(exchange.seen),
    )
    lines = [_line(cells), *(f"    - {difference}" for difference in result.differences)]
    return "\n".join(lines)


def _decided(decision: Record | None) -> tuple[str, str]:
    """Say what icapd decided, and by which rule; of a tunnel let through unread, that and its tls rule."""
    if decision is None:
        return "(Squid denied)", "-"
    method = "CONNECT " if decision.method == "CONNECT" else ""
    tls = decision.all.get("tls")
    if tls is not None and tls != "bump" and decision.rule is None:
        return f"{method}{tls}", decision.all.get("tls_rule") or "-"
    return f"{method}{decision.action}", decision.rule or "-"


def describe(seen: Seen) -> str:
    """Say what a user would say of it."""
    if seen.exit:
        return f"connection ended (curl: {seen.exit})"
    if location := seen.header("Location"):
        return f"{seen.status} to {location}"
    if PAGE_MARK in seen.text:
        return f"{seen.status} the origin's page"
    if (error := seen.header("X-Squid-Error")) and "ICAPD" not in error:
        return f"{seen.status} Squid: {error.split()[0]}"
    return f"{seen.status} {_title(seen.text)}"


def _title(html: str) -> str:
    """Return the page's title, or nothing."""
    start = html.lower().find("<title>")
    return html[start + 7 :].partition("<")[0].strip() if start >= 0 else ""


def _line(cells: Iterable[str]) -> str:
    """Cells at their columns' widths; a longer one pushes the others, it is never cut."""
    return "  ".join(cell.ljust(width) for cell, (_, width) in zip(cells, _COLUMNS, strict=True)).rstrip()
