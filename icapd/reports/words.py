"""Numbers, times and shares as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

_UNITS = ((1e9, "G"), (1e6, "M"), (1e4, "k"))
_SECONDS = ((86_400, "day"), (3600, "hour"), (60, "minute"))
_WHOLE = 10  # per cent from which decimals say nothing


def grouped(value: int) -> str:
    """Return 1234567 as "1,234,567"."""
    return f"{value:,}"


def short(value: float) -> str:
    """Return a number as an axis has room for: "12k", "1.5M"; below 10,000 as it is."""
    for size, unit in _UNITS:
        if value >= size:
            divisor = 1e3 if unit == "k" else size
            return f"{value / divisor:.3g}{unit}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"


def share(part: int, whole: int) -> str:
    """Return a share in per cent, "<0.1 %" for what is little but not nothing."""
    if not whole or not part:
        return "0 %"
    percent = 100 * part / whole
    if percent < 0.1:  # noqa: PLR2004  (one digit behind the point)
        return "<0.1 %"
    return f"{percent:.0f} %" if percent >= _WHOLE else f"{percent:.1f} %"


def span(seconds: float) -> str:
    """Return a length of time in its largest whole unit: "7 days", "1 hour"."""
    for size, unit in _SECONDS:
        if seconds >= size:
            count = round(seconds / size, 1)
            text = f"{count:.0f}" if count == int(count) else f"{count:.1f}"
            return f"{text} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:.0f} seconds"


def each(step: int) -> str:
    """Return a step of time as a unit: "hour", "6 hours", "day"."""
    text = span(step)
    return text.removeprefix("1 ")


def moment(seconds: float, shift: int, form: str = "%d %b %Y %H:%M") -> str:
    """Return a time, `shift` seconds ahead of UTC."""
    try:
        zone = timezone(timedelta(seconds=shift)) if shift else UTC
        return datetime.fromtimestamp(seconds, zone).strftime(form)
    except (OverflowError, ValueError, OSError):  # of a year that no calendar here has
        return "?"


def zone_name(shift: int) -> str:
    """Return "UTC", "UTC+1" or "UTC+5:30"."""
    if not shift:
        return "UTC"
    hours, minutes = divmod(abs(shift) // 60, 60)
    return f"UTC{'+' if shift > 0 else '−'}{hours}{f':{minutes:02}' if minutes else ''}"  # noqa: RUF001


def counted(count: int, one: str, many: str = "") -> str:
    """Return "1 record", "2 records"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
