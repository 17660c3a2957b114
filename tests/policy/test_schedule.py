"""Days and hours on the wall clock of a zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy.schedule import DAYS, read_hours
from tests.policy.asking import outcome, policy, transaction

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC"]


def inside(text: str, at: str) -> bool:
    return read_hours(text).hold(datetime.fromisoformat(at).timestamp())


NIGHT = "fri 22:00-06:00 Europe/Berlin"


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        (NIGHT, "2026-11-27T21:59:59+01:00", False),
        (NIGHT, "2026-11-27T22:00:00+01:00", True),
        (NIGHT, "2026-11-28T01:00:00+01:00", True),
        (NIGHT, "2026-11-28T05:59:59+01:00", True),
        (NIGHT, "2026-11-28T06:00:00+01:00", False),
        (NIGHT, "2026-11-28T22:00:00+01:00", False),
        (NIGHT, "2026-11-27T01:00:00+01:00", False),
        (NIGHT, "2026-11-27T21:00:00+00:00", True),
        ("sun 02:00-03:00 Europe/Berlin", "2026-03-29T01:30:00+00:00", False),  # 03:30: the hour is left out
        ("sun 02:00-03:00 Europe/Berlin", "2026-03-29T00:30:00+00:00", False),
        ("sun 02:00-03:00 Europe/Berlin", "2026-10-25T00:30:00+00:00", True),  # 02:30 comes twice
        ("sun 02:00-03:00 Europe/Berlin", "2026-10-25T01:30:00+00:00", True),
        ("sun 02:00-03:00 Europe/Berlin", "2026-10-25T02:00:00+00:00", False),
        ("mon-fri 08:00-18:00 Europe/Berlin", "2026-07-01T07:59:59+02:00", False),
        ("mon-fri 08:00-18:00 Europe/Berlin", "2026-07-01T08:00:00+02:00", True),
        ("mon-fri 08:00-18:00 Europe/Berlin", "2026-07-01T18:00:00+02:00", False),
        ("sat-mon UTC", "2026-11-22T12:00:00+00:00", True),
        ("sat-mon UTC", "2026-11-24T00:00:00+00:00", False),
        ("Sunday, tue-wed 00:00-24:00 UTC", "2026-11-24T23:59:59+00:00", True),
        ("08:00-12:00 UTC", "2026-11-24T09:00:00+00:00", True),
        ("UTC", "2026-11-24T09:00:00+00:00", True),
        ("mon 09:00-09:00 UTC", "2026-11-24T08:59:59+00:00", True),  # a whole day from then
        ("mon 09:00-09:00 UTC", "2026-11-23T08:59:59+00:00", False),
        ("mon 00:00-00:00 UTC", "2026-11-23T23:59:59+00:00", True),
        ("mon 00:00-00:00 UTC", "2026-11-24T00:00:00+00:00", False),
    ],
)
def test_hours(text: str, at: str, expected: bool) -> None:
    assert inside(text, at) is expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "mon", "mon 8-9 UTC", "mon 08:60-09:00 UTC", "mon 24:00-25:00 UTC", "mon 24:00-08:00 UTC"),
        *(
            "mum UTC",
            "mon-fry 08:00-09:00 UTC",
            "mon 08:00-09:00 Europe/Berln",
            "mon 08:00-09:00 ../UTC",
            "mon UTC x",
        ),
    ],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_hours(text)


def test_a_zone_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'Europe/Berlin'"):
        read_hours("mon Europe/Berln")


SECONDS = st.integers(0, 86_399)


def clock(second: int) -> str:
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


@given(
    st.sets(st.sampled_from(DAYS), min_size=1),
    SECONDS,
    SECONDS,
    st.sampled_from(ZONES),
    st.integers(1_700_000_000, 1_900_000_000),
)
def test_it_is_what_walking_back_on_the_wall_clock_finds(
    days: set[str], start: int, end: int, zone: str, now: int
) -> None:
    hours = read_hours(f"{','.join(sorted(days))} {clock(start)}-{clock(end)} {zone}")
    local = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    found = False
    for back in (0, 1):  # the interval that began on this wall-clock day, or the day before
        day = local.date() - timedelta(days=back)
        opened = datetime.combine(day, datetime.min.time()) + timedelta(seconds=start)
        closed = datetime.combine(day, datetime.min.time()) + timedelta(
            seconds=end if end > start else end + 86_400
        )
        found |= DAYS[day.weekday()] in days and opened <= local.replace(microsecond=0) < closed
    assert hours.hold(now) is found


@given(st.integers(1_700_000_000, 1_900_000_000), st.sampled_from(ZONES), SECONDS, SECONDS)
def test_an_interval_and_the_rest_of_the_day_are_the_whole_day(
    now: int, zone: str, start: int, end: int
) -> None:
    if start != end:
        first, rest = (read_hours(f"{clock(a)}-{clock(b)} {zone}") for a, b in ((start, end), (end, start)))
        assert first.hold(now) is not rest.hold(now)


def test_a_rule_has_its_hours(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("p")
    for written in (
        '{days: [fri], from: "22:00", to: "06:00", tz: Europe/Berlin}',
        "[{days: mon, tz: UTC}, {days: fri, from: 22:00, to: 06:00, tz: Europe/Berlin}]",
        '"fri 22:00-06:00 Europe/Berlin"',
    ):
        rules = policy(folder, f"access:\n- {{name: night, when: {{schedule: {written}}}, action: block}}\n")
        tx = transaction()
        tx.now = datetime(2026, 11, 28, 1, 0, tzinfo=BERLIN).timestamp()
        assert outcome(rules, tx) == "block: night"
        (check,) = rules.explain(tx).trace[0].checks
        assert "Sat 2026-11-28" in check.found
        tx.now += 6 * 3600
        assert outcome(rules, tx) == "allow"
