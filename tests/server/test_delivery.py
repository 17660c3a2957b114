"""How much goes out when, byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.bodies import DeliveryOptions
from icapd.server.delivery import START, Delivery, Pace

SQUID_STALLS = 63_000  # bytes that may have come before our answer begins, and
SQUID_STEP = 32 * 1024  # for which a byte must go out then


def pace(*, hold: int = 32768, rate: int = 0, delay: float = 0.0, stalls: bool = True) -> Pace:
    return Pace(hold, rate, delay, stalls)


paces = st.builds(
    pace,
    hold=st.sampled_from([1, 1000, 32768, 1 << 20]),
    rate=st.sampled_from([0, 1, 1000, 1 << 20]),
    delay=st.sampled_from([0.0, 1.0, 30.0]),
    stalls=st.booleans(),
)


@given(paces, st.lists(st.tuples(st.integers(0, 70_000), st.sampled_from([0.0, 0.1, 2.0])), max_size=30))
def test_squid_goes_on_and_the_end_is_held(pace: Pace, steps: list[tuple[int, float]]) -> None:
    delivery = Delivery(pace, whole=False, now=100.0)
    now = 100.0
    for size, passed in steps:
        delivery.received += size
        now += passed
        due = delivery.due(now)
        assert due >= delivery.sent
        assert due < delivery.received or due == 0 == delivery.received
        if delivery.received < START:
            assert due == 0
        if pace.stalls and delivery.received >= SQUID_STALLS:
            assert due >= 1 + (delivery.received - SQUID_STALLS) // SQUID_STEP
        least = 1 + max(0, delivery.received - START) // (16 * 1024) if pace.stalls else 0
        assert due <= max(least, delivery.received - pace.hold, delivery.sent)
        if now - 100.0 < pace.delay:
            assert due <= max(least, delivery.sent)
        delivery.sent = due
    delivery.freed = True
    assert delivery.due(now) == delivery.received


@given(st.integers(0, 1 << 30), st.floats(0, 1000))
def test_an_upload_is_held_whole(received: int, now: float) -> None:
    delivery = Delivery(pace(), whole=True, now=0.0)
    delivery.received = received
    assert delivery.left(now) == 0
    delivery.freed = True
    assert delivery.left(now) == received


@pytest.mark.parametrize(("now", "due"), [(0.0, 0), (2.0, 1), (3.0, 1001), (1e6, 99_000)])
def test_a_rate_counts_from_the_delay_on(now: float, due: int) -> None:
    delivery = Delivery(pace(hold=1000, rate=1000, delay=2.0, stalls=False), whole=False, now=0.0)
    delivery.received = 100_000
    assert delivery.due(now) == due


def test_the_pace_is_that_of_the_options() -> None:
    options = DeliveryOptions.model_validate({"hold": "64k", "rate": "unlimited", "delay": "1.5"})
    assert Pace.of(options, stalls=False) == Pace(65536, 0, 1.5, stalls=False)
