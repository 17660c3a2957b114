"""The breaker: when it opens, what it asks meanwhile, when it closes."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from icapd.adapters.breaker import Breaker


class Broken:
    """A breaker over a probe that answers, fails, or waits to be told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.answer: str | None = "down"
        self.probes = 0
        self.open: Deferred[None] | None = None
        self.heard: list[str | None] = []
        self.breaker = Breaker(self.probe, self.heard.append, self.clock)

    async def probe(self) -> None:
        self.probes += 1
        if self.answer is None:
            self.open = Deferred()
            await self.open
        elif self.answer:
            raise OSError(self.answer)


def test_it_opens_after_failures_in_a_row_only() -> None:
    one = Broken()
    for _ in range(5):
        one.breaker.bad("bad")
        one.breaker.bad("bad")
        assert not one.breaker.is_open
        one.breaker.good()
    for _ in range(3):
        one.breaker.bad("very bad")
    assert (one.breaker.is_open, one.breaker.why, one.heard) == (True, "very bad", ["very bad"])


def test_while_open_it_asks_every_second_and_closes_at_the_first_answer() -> None:
    one = Broken()
    for _ in range(3):
        one.breaker.bad("bad")
    one.clock.pump([1] * 5)
    assert (one.probes, one.breaker.why, one.heard) == (5, "down", ["bad"])
    one.answer = ""
    one.clock.advance(1)
    assert (one.breaker.is_open, one.heard) == (False, ["bad", None])
    one.clock.pump([1] * 5)
    assert one.probes == 6
    assert one.clock.getDelayedCalls() == []


def test_a_suspicion_that_proves_true_opens_it_at_once() -> None:
    one = Broken()
    assert one.breaker.suspect().called
    assert (one.breaker.is_open, one.heard) == (True, ["down"])
    one.answer = ""
    one.breaker.suspect()
    assert (one.breaker.is_open, one.heard) == (False, ["down", None])
    assert one.clock.getDelayedCalls() == []


def test_one_who_answers_scans_is_not_down_for_a_late_probe() -> None:
    one = Broken()
    one.answer = None
    waiting = one.breaker.suspect()
    one.breaker.good()
    assert one.open is not None
    one.open.errback(OSError("late"))
    assert waiting.called
    assert not one.breaker.is_open


def test_suspicions_at_once_are_one_probe() -> None:
    one = Broken()
    one.answer = None
    waiting = [one.breaker.suspect() for _ in range(3)]
    assert one.probes == 1
    assert one.open is not None
    one.open.callback(None)
    assert all(each.called for each in waiting)
    one.breaker.suspect()
    assert one.probes == 2


def test_when_stopped_it_asks_no_more() -> None:
    one = Broken()
    one.breaker.suspect()
    one.answer = None
    one.clock.advance(1)
    one.breaker.stop()
    one.clock.pump([1] * 5)
    assert (one.probes, one.clock.getDelayedCalls()) == (2, [])
