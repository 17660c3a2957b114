"""Kept connections: how many, how long, and whose turn it is."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from icapd.adapters.pool import Pool


class Line:
    def __init__(self, name: int) -> None:
        self.name = name
        self.alive = True

    def end(self) -> None:
        self.alive = False


class Lines:
    """A pool, its clock, and what it has opened."""

    def __init__(self, limit: int = 2) -> None:
        self.clock = Clock()
        self.made: list[Line] = []
        self.fault: Exception | None = None
        self.pool: Pool[Line] = Pool(self.connect, limit, 20.0, self.clock.seconds)

    async def connect(self) -> Line:
        if self.fault is not None:
            raise self.fault
        self.made.append(Line(len(self.made)))
        return self.made[-1]

    def take(self, *, fresh: bool = False) -> Deferred[Line]:
        return Deferred.fromCoroutine(self.pool.take(fresh=fresh))

    def got(self, *, fresh: bool = False) -> Line:
        return got(self.take(fresh=fresh))


def got(taken: Deferred[Line]) -> Line:
    heard: list[Line] = []
    taken.addCallback(heard.append)
    assert heard, "it waits"
    return heard[0]


def fails(taken: Deferred[Line], error: type[Exception]) -> None:
    heard: list[object] = []
    taken.addErrback(lambda failure: heard.append(failure.type))
    assert heard == [error]


def test_one_given_back_is_used_again_and_a_broken_one_is_not() -> None:
    lines = Lines()
    first = lines.got()
    lines.pool.give(first)
    assert lines.got() is first
    first.end()
    lines.pool.give(first)
    assert lines.got().name == 1
    kept = lines.got()
    lines.pool.give(kept)
    kept.end()  # by the other side, while nobody used it
    assert lines.got().name == 3


def test_there_are_no_more_than_may_be_and_who_came_first_is_first() -> None:
    lines = Lines()
    one, two = lines.got(), lines.got()
    waiting = [lines.take() for _ in range(3)]
    assert [each.called for each in waiting] == [False] * 3
    lines.pool.give(two)
    assert got(waiting[0]) is two
    lines.pool.give(one)
    lines.pool.give(two)
    assert {got(waiting[1]), got(waiting[2])} == {one, two}
    assert (len(lines.made), lines.pool.busy) == (2, 2)


def test_who_waits_no_more_is_passed_over() -> None:
    lines = Lines(1)
    one = lines.got()
    gone, stays = lines.take(), lines.take()
    gone.cancel()
    fails(gone, CancelledError)
    lines.pool.give(one)
    assert got(stays) is one


def test_a_fresh_one_comes_instead_of_all_that_are_kept() -> None:
    lines = Lines(3)
    taken = [lines.got() for _ in range(3)]
    for each in taken:
        lines.pool.give(each)
    assert lines.got(fresh=True).name == 3
    assert not any(each.alive for each in taken)


def test_what_cannot_connect_leaves_its_place_to_the_next() -> None:
    lines = Lines(1)
    one = lines.got()
    waiting = [lines.take() for _ in range(3)]
    one.end()
    lines.fault = OSError()
    lines.pool.give(one)
    for each in waiting:
        fails(each, OSError)
    assert lines.pool.busy == 0
    lines.fault = None
    assert lines.got().name == 1


def test_idle_ones_are_closed() -> None:
    lines = Lines()
    one, two = lines.got(), lines.got()
    lines.pool.give(one)
    lines.clock.advance(15)
    lines.pool.give(two)
    lines.clock.advance(5)
    lines.pool.sweep()
    assert (one.alive, two.alive) == (False, True)
    assert lines.got() is two


def test_refusal_fails_all_who_wait_and_closes_what_is_kept() -> None:
    lines = Lines(2)
    one, two = lines.got(), lines.got()
    waiting = lines.take()
    lines.pool.refuse(ZeroDivisionError())
    fails(waiting, ZeroDivisionError)
    lines.pool.give(one)
    lines.pool.refuse(ZeroDivisionError())
    assert (one.alive, two.alive, lines.pool.busy) == (False, True, 1)


@pytest.mark.parametrize("limit", [1, 5])
def test_all_get_their_turn(limit: int) -> None:
    lines = Lines(limit)
    served: list[int] = []

    async def use(number: int) -> None:
        line = await lines.pool.take()
        served.append(number)
        lines.clock.callLater(1, lambda: lines.pool.give(line))

    for number in range(50):
        Deferred.fromCoroutine(use(number))
    lines.clock.pump([1] * 60)
    assert served == list(range(50))
    assert (len(lines.made), lines.pool.busy) == (limit, 0)
