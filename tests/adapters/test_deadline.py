"""A bound on how long a coroutine is waited for."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from icapd.adapters.deadline import Late, within


def test_it_ends_in_time_and_a_late_result_is_handed_over() -> None:
    clock = Clock()
    inner: Deferred[int] = Deferred(lambda _: None)
    unwanted: list[int] = []

    async def stubborn() -> int:
        try:
            return await inner
        except Exception:  # noqa: BLE001
            return 7

    result = within(clock, 2.0, stubborn, unwanted.append)
    failures: list[object] = []
    result.addErrback(lambda failure: failures.append(failure.check(Late)))
    clock.advance(2.0)
    assert failures == [Late]
    assert unwanted == [7]


def test_cancelled_it_cancels() -> None:
    cancelled: list[int] = []
    inner: Deferred[int] = Deferred(lambda _: cancelled.append(1))

    async def call() -> int:
        return await inner

    result = within(Clock(), 2.0, call)
    result.addErrback(lambda _: None)
    result.cancel()
    assert cancelled


@pytest.mark.parametrize("value", [3, None])
def test_what_comes_in_time_is_given(value: int | None) -> None:
    async def call() -> int | None:
        return value

    got: list[int | None] = []
    within(Clock(), 1.0, call).addCallback(got.append)
    assert got == [value]
