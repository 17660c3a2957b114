"""A report for a terminal: figures, bars of blocks, lines that what clients sent cannot break."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.events.formats import plain
from icapd.reports.setting import policies_begun
from icapd.reports.words import counted, each, grouped, moment, share, span, zone_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from icapd.events.report import Report, Tally
    from icapd.reports.setting import Setting

_LEVELS = " ▁▂▃▄▅▆▇█"
_PARTS = " ▏▎▍▌▋▊▉█"
_BAR = 24  # characters
_NAME = 40
_MAX_IDLE = 20


def as_text(report: Report, setting: Setting, width: int = 100) -> str:
    """Return the text, at most `width` wide where that is 80 or more, without a last newline."""
    return "\n".join(line.rstrip() for line in _lines(report, setting, max(80, width)))


def _lines(report: Report, setting: Setting, width: int) -> Iterator[str]:
    period = report.period
    since, until = (moment(time, period.shift) for time in (period.since, period.until))
    yield f"Web filter report of {plain(setting.place)}"
    yield f"{since} – {until}, {zone_name(period.shift)} ({span(period.until - period.since)})"  # noqa: RUF001
    yield ""
    if report.is_empty:
        yield "Nothing was decided in this period."
        if report.first is not None:
            yield f"The store's oldest record is of {moment(report.first, period.shift)}."
        return
    yield from _totals(report)
    yield from _times(report)
    name = max(16, min(_NAME, width - _BAR - 28))
    yield from _tallies("Users", setting.users, report.users, name)
    yield from _tallies("Clients", setting.clients, report.clients, name)
    yield from _tallies("Hosts", "", report.hosts, name)
    yield from _tallies("Blocked hosts", "", report.blocked_hosts, name, by_blocks=True)
    yield from _tallies("Categories", "", report.categories, name, by_blocks=True)
    yield from _threats(report, name)
    yield from _rules(report, setting, name)
    yield from _gaps(report)
    for note in setting.notes:
        yield ""
        yield plain(note)


def _totals(report: Report) -> Iterator[str]:
    totals = report.totals
    decided = totals.requests + totals.responses
    rows = (
        ("requests", totals.requests, f"{grouped(totals.tunnels)} of them tunnels (CONNECT)"),
        ("responses", totals.responses, f"{counted(totals.scanned, 'body', 'bodies')} scanned"),
        ("blocked", totals.blocked + totals.refused, f"{share(totals.blocked + totals.refused, decided)}"),
        ("redirected", totals.redirected, share(totals.redirected, decided)),
        ("threats", totals.threats, f"{grouped(totals.late)} came late"),
        ("not scanned", totals.unscanned, f"{counted(totals.errors, 'error')} in deciding"),
        ("users", totals.users, f"{counted(totals.clients, 'client')}, {counted(totals.hosts, 'host')}"),
    )
    for name, value, more in rows:
        yield f"  {name:12} {grouped(value):>12}   {more}"


def _times(report: Report) -> Iterator[str]:
    slots, period = report.slots, report.period
    yield ""
    yield f"Over time, per {each(period.step)}"
    shown = {
        "all": [one.total for one in slots],
        "blocked": [one.blocked for one in slots],
        "redirected": [one.redirected for one in slots],
        "errors": [one.failed for one in slots],
    }
    for name, values in shown.items():
        if any(values):
            yield f"  {name:10} {_line(values)}  at most {grouped(max(values))}"
    form = "%d %b" if period.step >= 3600 else "%H:%M"  # noqa: PLR2004  (s)
    first, last = (moment(slot.begins, period.shift, form) for slot in (slots[0], slots[-1]))
    yield f"{'':13}{first}{last:>{max(1, len(slots) - len(first))}}"


def _line(values: Sequence[int]) -> str:
    most = max(values)
    top = len(_LEVELS) - 1
    return "".join(_LEVELS[-(-value * top // most)] for value in values)


def _bar(value: int, most: int) -> str:
    eighths = max(1, round(8 * _BAR * value / most)) if value else 0
    full, part = divmod(eighths, 8)
    return ("█" * full + (_PARTS[part] if part else "")).ljust(_BAR)


def _cut(value: str, width: int) -> str:
    text = plain(value)
    return (text if len(text) <= width else text[: width - 1] + "…").ljust(width)


def _tallies(
    title: str, what: str, rows: Sequence[Tally], name: int, *, by_blocks: bool = False
) -> Iterator[str]:
    yield ""
    heading = f"{title} ({what})" if what else title
    if not rows:
        yield f"{heading}: none"
        return
    yield f"{heading:{name + _BAR + 4}}{'requests':>11}{'blocked':>10}"
    values = [one.blocked if by_blocks else one.requests for one in rows]
    for one, value in zip(rows, values, strict=True):
        line = f"  {_cut(one.name, name)}  {_bar(value, max(values))}"
        yield f"{line}{grouped(one.requests):>11}{grouped(one.blocked):>10}"


def _threats(report: Report, name: int) -> Iterator[str]:
    yield ""
    if not report.threats:
        yield "Threats: none"
        return
    yield f"{'Threats':{name + _BAR + 4}}{'found':>11}{'let pass':>10}"
    for one in report.threats:
        last = f"last {moment(one.last, report.period.shift, '%d %b %H:%M')}"
        yield (
            f"  {_cut(one.name, name)}  {last:{_BAR}}{grouped(one.count):>11}{grouped(one.passed):>10}"
            + (f"\n    of {plain(one.host)[:_NAME]}" if one.host else "")
        )


def _rules(report: Report, setting: Setting, name: int) -> Iterator[str]:
    yield ""
    if report.rules:
        yield f"{'Rules':{name + _BAR + 4}}{'decisions':>11}{'':2}what"
        most = max(one.count + one.shadow for one in report.rules)
        for one in report.rules:
            count = one.count or one.shadow
            what = f"{one.action} (shadow)" if one.shadow else one.action
            yield f"  {_cut(one.name, name)}  {_bar(count, most)}{grouped(count):>11}  {_cut(what, 20)}"
    else:
        yield "Rules: none decided anything"
    if report.policies:
        yield f"  {plain(policies_begun(report))}"
    if setting.idle is None:
        return
    yield ""
    yield f"Rules of the present policy that decided nothing: {len(setting.idle) or 'none'}"
    for rule in setting.idle[:_MAX_IDLE]:
        yield f"  {rule.stage:10} {plain(rule.name)} ({plain(rule.source)})"
    if len(setting.idle) > _MAX_IDLE:
        yield f"  … and {len(setting.idle) - _MAX_IDLE} more"


def _gaps(report: Report) -> Iterator[str]:
    gaps = report.gaps
    yield ""
    if not gaps.missing:
        yield "Records missing: none"
        return
    yield f"Records missing: {grouped(gaps.missing)}, {grouped(gaps.unexplained)} of them unexplained"
    for reason, count in gaps.why:
        yield f"  {grouped(count):>12} {_cut(reason, 80)}"
