"""A report as one HTML file: no script, nothing loaded from anywhere, every value escaped for its place.

The policy in its head allows the style sheet inside it, by its digest, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from icapd.data import read_shared
from icapd.pages import escaped
from icapd.reports.plot import Axis, Series, bar, stacked
from icapd.reports.setting import policies_begun
from icapd.reports.words import counted, each, grouped, moment, share, zone_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from icapd.events.report import Report, RuleTally, Slot, Tally
    from icapd.reports.setting import Setting

_MAX_NAME = 120  # bytes of a name once escaped
_MAX_IDLE = 200  # rules listed that decided nothing
_WIDE, _NARROW = (1120, 230), (360, 210)


def as_page(report: Report, setting: Setting) -> str:
    """Return the file's text."""
    style = "\n" + read_shared("rules", "pages", "report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    shift = report.period.shift
    since, until = (moment(time, shift) for time in (report.period.since, report.period.until))
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">\n<meta name="robots" content="noindex">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>Web filter report, {since} to {until}</title>",
        f"<style>{style}</style>\n</head>\n<body>",
        f"<header><div><h1>Web filter report</h1><p>{since} – {until}, {zone_name(shift)}</p></div>",  # noqa: RUF001
        f"<p>{_text(setting.place)} · made {moment(setting.made, shift)}</p></header>\n<main>",
        *_body(report, setting),
        "</main>\n<footer>",
        *(f"<p>{_text(note, 600)}</p>" for note in setting.notes),
        "</footer>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _text(value: str, limit: int = _MAX_NAME) -> str:
    return escaped(value, limit)


def _body(report: Report, setting: Setting) -> Iterator[str]:
    if report.is_empty:
        yield '<section><h2>Nothing was decided in this period</h2><p class="empty">'
        yield "The store holds no record of it. " + _oldest(report) + "</p></section>"
        return
    yield from _cards(report)
    yield from _plots(report)
    yield '<div class="pair">'
    yield from _tallies("Users", report.users, setting.users or "by requests")
    yield from _tallies("Clients", report.clients, setting.clients or "by requests")
    yield from _tallies("Hosts", report.hosts, "by requests")
    yield from _tallies("Blocked hosts", report.blocked_hosts, "by blocks", by_blocks=True)
    yield from _tallies("Categories", report.categories, "that blocked", by_blocks=True)
    yield from _threats(report)
    yield "</div>"
    yield from _rules(report, setting)
    yield from _gaps(report)


def _oldest(report: Report) -> str:
    if report.first is None:
        return "It is empty so far."
    return f"Its oldest record is of {moment(report.first, report.period.shift)}."


def _cards(report: Report) -> Iterator[str]:
    totals, gaps = report.totals, report.gaps
    decided = totals.requests + totals.responses
    stopped = totals.blocked + totals.refused
    missing = "good" if not gaps.unexplained else "blocked"
    cards = (
        ("", "Requests", totals.requests, f"{grouped(totals.tunnels)} of them tunnels"),
        ("", "Responses", totals.responses, f"{grouped(totals.scanned)} bodies scanned"),
        ("blocked", "Blocked", stopped, f"{share(stopped, decided)} of decisions"),
        ("redirected", "Redirected", totals.redirected, f"{share(totals.redirected, decided)} of decisions"),
        ("failed", "Threats found", totals.threats, f"{grouped(totals.late)} came late"),
        ("failed", "Not scanned", totals.unscanned, f"{counted(totals.errors, 'error')} in deciding"),
        ("", "Users", totals.users, f"{counted(totals.clients, 'client')}, {counted(totals.hosts, 'host')}"),
        (
            missing,
            "Records missing",
            gaps.missing,
            f"{grouped(gaps.explained)} explained" if gaps.missing else "the sequence is whole",
        ),
    )
    yield '<ul class="cards">'
    for style, name, value, more in cards:
        yield f'<li class="{style}"><span>{name}</span><b>{grouped(value)}</b><span>{more}</span></li>'
    yield "</ul>"


def _plots(report: Report) -> Iterator[str]:
    slots, period = report.slots, report.period
    axis = Axis(period.origin, period.step, period.shift)
    stopped = [
        Series("blocked", "blocked", [one.blocked for one in slots]),
        Series("redirected", "redirected", [one.redirected for one in slots]),
        Series("failed", "errors", [one.failed for one in slots]),
    ]
    passed = Series("passed", "passed", [one.passed for one in slots])
    unit = f"per {each(period.step)}"
    yield from _plot("Decisions", f"decisions {unit}", axis, [passed, *stopped], slots)
    if any(sum(one.values) for one in stopped):
        yield from _plot("Blocked and redirected", f"decisions {unit}", axis, stopped, slots)


def _plot(
    title: str, unit: str, axis: Axis, series: Sequence[Series], slots: Sequence[Slot]
) -> Iterator[str]:
    top = max(range(len(slots)), key=lambda slot: sum(one.values[slot] for one in series))
    most = sum(one.values[top] for one in series)
    yield f'<section><div class="head"><h2>{title}</h2><ul class="key">'
    for one in series:
        if sum(one.values):
            yield (
                f'<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="{one.style}" width="10" '
                f'height="10" rx="2"/></svg>{one.name} {grouped(sum(one.values))}</li>'
            )
    yield "</ul></div>"
    said = f"{title}, {unit}; at most {most:,}, {moment(axis.at(top), axis.shift)}"
    for style, (width, height) in (("wide", _WIDE), ("narrow", _NARROW)):
        yield f'<div class="{style}">{stacked(said, unit, axis, series, width=width, height=height)}</div>'
    yield "</section>"


def _tallies(title: str, rows: Sequence[Tally], order: str, *, by_blocks: bool = False) -> Iterator[str]:
    yield f'<section><div class="head"><h2>{title}</h2><p>{order}</p></div>'
    if not rows:
        yield '<p class="empty">None in this period.</p></section>'
        return
    yield (
        '<table><thead><tr><th class="name">Name</th><th class="drawn"></th><th class="number">Requests</th>'
        '<th class="number">Blocked</th></tr></thead><tbody>'
    )
    most = max(one.blocked if by_blocks else max(one.requests, one.blocked) for one in rows)
    for one in rows:
        parts = [("blocked", one.blocked)]
        if not by_blocks:
            parts.append(("passed", max(0, one.requests - one.blocked)))
        yield (
            f'<tr><td class="name"><bdi>{_text(one.name)}</bdi></td>'
            f'<td class="drawn">{bar(parts, most)}</td><td class="number">{grouped(one.requests)}</td>'
            f'<td class="number">{grouped(one.blocked)}</td></tr>'
        )
    yield "</tbody></table></section>"


def _threats(report: Report) -> Iterator[str]:
    yield '<section><div class="head"><h2>Threats</h2><p>what scanning found</p></div>'
    if not report.threats:
        yield '<p class="empty">None in this period.</p></section>'
        return
    yield (
        '<table><thead><tr><th class="name">Name</th><th class="when">Last</th><th class="number">Found</th>'
        '<th class="number">Let pass</th></tr></thead><tbody>'
    )
    for one in report.threats:
        host = f"<small>last of <bdi>{_text(one.host)}</bdi></small>" if one.host else ""
        passed = f'<span class="bad">{grouped(one.passed)}</span>' if one.passed else "0"
        yield (
            f'<tr><td class="name"><bdi>{_text(one.name)}</bdi>{host}</td>'
            f'<td class="when">{moment(one.last, report.period.shift, "%d %b %H:%M")}</td>'
            f'<td class="number">{grouped(one.count)}</td><td class="number">{passed}</td></tr>'
        )
    yield "</tbody></table></section>"


def _rules(report: Report, setting: Setting) -> Iterator[str]:
    yield '<section><div class="head"><h2>Rules</h2><p>that decided</p></div>'
    if report.rules:
        yield (
            '<table><thead><tr><th class="name">Rule</th><th class="drawn"></th><th class="when">Last</th>'
            '<th class="number">Decisions</th></tr></thead><tbody>'
        )
        most = max(one.count + one.shadow for one in report.rules)
        for one in report.rules:
            yield _rule(one, most, report.period.shift)
        yield "</tbody></table>"
    else:
        yield '<p class="empty">None: all was decided by default.</p>'
    if report.policies:
        yield f'<p class="note">{_text(policies_begun(report), 800)}</p>'
    yield "</section>"
    if setting.idle is None:
        return
    yield '<section><div class="head"><h2>Rules that decided nothing</h2><p>of the present policy</p></div>'
    if not setting.idle:
        yield '<p class="empty">None: each rule had its say in this period.</p>'
    yield '<ul class="unused">'
    for rule in setting.idle[:_MAX_IDLE]:
        tag = " in shadow mode" if rule.shadow else ""
        yield f"<li><bdi>{_text(rule.name)}</bdi> <small>{rule.stage}, {_text(rule.source)}{tag}</small></li>"
    yield "</ul>"
    if len(setting.idle) > _MAX_IDLE:
        yield f'<p class="note">and {grouped(len(setting.idle) - _MAX_IDLE)} more</p>'
    yield "</section>"


_STYLES = {"block": "blocked", "refuse": "blocked", "redirect": "redirected", "error": "failed"}


def _rule(one: RuleTally, most: int, shift: int) -> str:
    style = _STYLES.get(one.action, "passed")
    stage = f"{one.stage}: " if one.stage else ""
    tag = f'<span class="tag">{_text(stage + one.action)}</span>'
    if one.shadow:
        tag += ' <span class="tag">shadow mode: it would have</span>'
    count = one.count or one.shadow
    return (
        f'<tr><td class="name"><bdi>{_text(one.name)}</bdi> {tag}'
        f"<small><bdi>{_text(one.source)}</bdi></small></td>"
        f'<td class="drawn">{bar([(style, count)], most)}</td>'
        f'<td class="when">{moment(one.last, shift, "%d %b %H:%M")}</td>'
        f'<td class="number">{grouped(count)}</td></tr>'
    )


def _gaps(report: Report) -> Iterator[str]:
    gaps = report.gaps
    yield '<section><div class="head"><h2>Is anything missing?</h2><p>sequence numbers of records</p></div>'
    if not gaps.missing:
        yield '<p class="empty">No: the numbers of each process follow each other.</p>'
    else:
        why = "; ".join(f"{grouped(count)}: {_text(reason)}" for reason, count in gaps.why)
        style = "bad" if gaps.unexplained else "good"
        yield (
            f"<p>{counted(gaps.missing, 'record is', 'records are')} missing; "
            f'<b class="{style}">{grouped(gaps.unexplained)} unexplained</b>.'
            f"{f' Explained: {why}.' if why else ''}</p>"
        )
    yield "</section>"
