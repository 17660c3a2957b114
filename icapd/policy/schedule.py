"""`schedule`: days and hours on the wall clock of a time zone.

"fri 22:00-06:00 Europe/Berlin" is Friday 22:00 to Saturday 06:00, the start included, the
end not. What the wall clock skips in spring never comes; what it shows twice in autumn
counts twice. Zones are the system's (or the tzdata package's).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

if TYPE_CHECKING:
    from icapd.policy.facts import Facts
    from icapd.policy.match import Key, Truth

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = 86_400
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_TEXT = re.compile(
    r"(?:(?P<days>[A-Za-z][A-Za-z, -]*?)\s+)?(?:(?P<hours>[\d:]+\s*-\s*[\d:]+)\s+)?(?P<tz>\S+)"
)


@dataclass(frozen=True, slots=True)
class Hours:
    """`days`: 0 is Monday; `start` and `end`: seconds of the day, `end` in (start, start + a day]."""

    days: frozenset[int]
    start: int
    end: int
    zone: ZoneInfo

    def hold(self, now: float) -> bool:
        """Tell whether `now` (seconds since the epoch) is inside."""
        local = datetime.fromtimestamp(now, UTC).astimezone(self.zone)
        second = local.hour * 3600 + local.minute * 60 + local.second
        day = local.weekday()
        if day in self.days and self.start <= second < self.end:
            return True
        return (day - 1) % 7 in self.days and self.start <= second + _DAY < self.end


def read_hours(text: str) -> Hours:
    """Read "[days] [from-to] zone", as in "mon-fri, sun 08:00-18:00 Europe/Berlin". Raises ValueError."""
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'{text!r} is no schedule such as "mon-fri 08:00-18:00 Europe/Berlin"')
    days = frozenset(
        day for part in re.split(r"[,\s]+(?!-)", match["days"] or "mon-sun") if part for day in _days(part)
    )
    start, end = 0, _DAY
    if match["hours"]:
        first, _, last = match["hours"].partition("-")
        start, end = _seconds(first.strip()), _seconds(last.strip())
    if start >= _DAY:
        raise ValueError(f"{text!r}: hours begin before 24:00")
    return Hours(days, start, end if end > start else end + _DAY, _zone(match["tz"]))


def _days(text: str) -> list[int]:
    first, dash, last = (part.strip().lower() for part in text.partition("-"))
    low, high = _day(first), _day(last) if dash else _day(first)
    return [day % 7 for day in range(low, high + 1 if high >= low else high + 8)]


def _day(name: str) -> int:
    for names in (DAYS, _LONG):
        if name in names:
            return names.index(name)
    raise ValueError(f"{name!r} is no day; days are {', '.join(DAYS)}, or two of them with a dash")


def _seconds(text: str) -> int:
    match = _TIME.fullmatch(text)
    hour, minute, second = (int(part or 0) for part in match.groups()) if match is not None else (99, 0, 0)
    if minute > 59 or second > 59 or hour * 3600 + minute * 60 + second > _DAY:  # noqa: PLR2004
        raise ValueError(f"{text!r} is no time of day (00:00 to 24:00)")
    return hour * 3600 + minute * 60 + second


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(_no_zone(name)) from error
    except KeyError as error:
        raise ValueError(_no_zone(name)) from error


def _no_zone(name: str) -> str:
    near = difflib.get_close_matches(name, available_timezones(), n=1)
    advice = f"did you mean {near[0]!r}?" if near else "zones are named as in Europe/Berlin, or UTC"
    return f"{name!r} is no time zone; {advice}"


@dataclass(frozen=True, slots=True)
class ScheduleIs:
    """`schedule`: any of these hours."""

    wanted: tuple[str, ...]
    hours: tuple[Hours, ...]
    criterion = "schedule"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:  # noqa: ARG002  (it is one time for all)
        """Compare the transaction's time."""
        return any(each.hold(facts.tx.now) for each in self.hours)

    def found(self, facts: Facts) -> str:
        """Return the time on the first schedule's clock."""
        now = datetime.fromtimestamp(facts.tx.now, UTC).astimezone(self.hours[0].zone)
        return now.strftime("%a %Y-%m-%d %H:%M:%S %z")

    def keys(self) -> tuple[Key, ...] | None:
        """Time tells no rules apart."""
        return None
