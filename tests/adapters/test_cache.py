"""The verdict cache: bounds, lifetimes, one scan at a time, and askers who leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from icapd.adapters.cache import CacheOptions, Key, VerdictCache, Worth
from tests.reactor import run

if TYPE_CHECKING:
    from collections.abc import Callable

WORTH = {"e": Worth.NOTHING, "c": Worth.CLEAN, "f": Worth.FOUND}


class Scans:
    """Scans that end when they are told to; `begun` are their names in order."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.cancelled: list[str] = []
        self.open: dict[str, Deferred[str]] = {}

    def __call__(self, name: str) -> Callable[[], Deferred[str]]:
        def scan() -> Deferred[str]:
            self.begun.append(name)
            self.open[name] = Deferred(lambda _: self.cancelled.append(name))
            return self.open[name]

        return scan


def make(clock: Clock | None = None, *, size: int = 0, **options: float) -> VerdictCache[str]:
    return VerdictCache(
        CacheOptions.model_validate(options),
        (clock or Clock()).seconds,
        worth=lambda value: WORTH[value[0]],
        size=lambda _: size,
    )


def key(content: str = "a", tag: str = "t") -> Key:
    return Key(content, None, tag)


def told(answer: Deferred[str]) -> list[str]:
    """What is or will be told, failures as their type's name."""
    heard: list[str] = []
    answer.addCallbacks(heard.append, lambda failure: heard.append(failure.type.__name__))
    return heard


def put(cache: VerdictCache[str], where: Key, value: str) -> None:
    async def scan() -> str:
        return value

    assert told(cache.ask(where, scan)) == [value]


def test_one_scan_for_all_who_ask_and_none_for_those_who_come_later() -> None:
    cache, scans = make(), Scans()
    answers = [told(cache.ask(key(), scans(f"s{number}"))) for number in range(4)]
    assert answers == [[], [], [], []]
    scans.open["s0"].callback("clean")
    assert answers == [["clean"]] * 4
    assert told(cache.ask(key(), scans("late"))) == ["clean"]
    assert scans.begun == ["s0"]
    stats = cache.statistics
    assert (stats.misses, stats.coalesced, stats.hits, stats.entries) == (1, 3, 1, 1)


@pytest.mark.parametrize("other", [key("b"), key(tag="u"), Key("a", ("shape",), "t")])
def test_another_key_is_another_scan(other: Key) -> None:
    cache, scans = make(), Scans()
    told(cache.ask(key(), scans("one")))
    told(cache.ask(other, scans("two")))
    assert scans.begun == ["one", "two"]


def test_errors_are_told_to_all_who_wait_and_not_kept() -> None:
    cache, scans = make(), Scans()
    answers = [told(cache.ask(key(), scans(f"s{number}"))) for number in range(2)]
    scans.open["s0"].callback("error")
    assert answers == [["error"]] * 2
    assert cache.find(key()) is None
    assert cache.statistics.entries == 0


def test_a_scan_that_raises_fails_all_who_wait_and_the_next_scans_again() -> None:
    cache, scans = make(), Scans()
    answers = [told(cache.ask(key(), scans(f"s{number}"))) for number in range(3)]
    scans.open["s0"].errback(ZeroDivisionError())
    assert answers == [["ZeroDivisionError"]] * 3
    assert scans.begun == ["s0"]
    again = told(cache.ask(key(), scans("again")))
    scans.open["again"].callback("clean")
    assert again == ["clean"]


def test_one_who_waits_and_leaves_takes_nothing_from_the_others() -> None:
    cache, scans = make(), Scans()
    deferreds = [cache.ask(key(), scans(f"s{number}")) for number in range(3)]
    answers = [told(deferred) for deferred in deferreds]
    deferreds[1].cancel()
    assert answers == [[], ["CancelledError"], []]
    assert scans.cancelled == []
    scans.open["s0"].callback("found")
    assert answers == [["found"], ["CancelledError"], ["found"]]


def test_when_he_leaves_whose_scan_it_is_the_next_scans_his_own() -> None:
    cache, scans = make(), Scans()
    deferreds = [cache.ask(key(), scans(f"s{number}")) for number in range(3)]
    answers = [told(deferred) for deferred in deferreds]
    deferreds[0].cancel()
    assert scans.cancelled == ["s0"]
    assert scans.begun == ["s0", "s1"]
    scans.open["s1"].callback("clean")
    assert answers == [["CancelledError"], ["clean"], ["clean"]]


def test_when_all_leave_the_scan_is_cancelled_and_forgotten() -> None:
    cache, scans = make(), Scans()
    deferreds = [cache.ask(key(), scans(f"s{number}")) for number in range(2)]
    answers = [told(deferred) for deferred in deferreds]
    deferreds[1].cancel()
    deferreds[0].cancel()
    assert answers == [["CancelledError"]] * 2
    assert scans.cancelled == ["s0"]
    told(cache.ask(key(), scans("new")))
    assert scans.begun == ["s0", "new"]


def test_one_who_is_told_may_make_another_leave() -> None:
    cache, scans = make(), Scans()
    first, second = (cache.ask(key(), scans(name)) for name in ("s0", "s1"))
    heard = told(second)
    first.addCallback(lambda _: second.cancel())
    scans.open["s0"].callback("clean")
    assert heard == ["CancelledError"]
    assert cache.find(key()) == "clean"
    assert scans.begun == ["s0"]


def test_coroutines_can_await_it() -> None:
    cache, scans = make(), Scans()

    async def asking() -> str:
        answer = cache.ask(key(), scans("s"))
        scans.open["s"].callback("clean")
        return await answer

    assert run(asking) == "clean"

    async def leaving() -> None:
        answer = cache.ask(key("b"), scans("t"))
        answer.cancel()
        with pytest.raises(CancelledError):
            await answer

    run(leaving)
    assert scans.cancelled == ["t"]


def test_clean_and_found_live_as_long_as_they_may() -> None:
    clock = Clock()
    cache = make(clock, clean_ttl=10, found_ttl=20)
    put(cache, key("a"), "clean")
    put(cache, key("b"), "found")
    clock.advance(9.9)
    assert (cache.find(key("a")), cache.find(key("b"))) == ("clean", "found")
    clock.advance(0.1)
    assert (cache.find(key("a")), cache.find(key("b"))) == (None, "found")
    clock.advance(10)
    assert cache.find(key("b")) is None
    assert (cache.statistics.entries, cache.statistics.bytes) == (0, 0)


def test_what_was_not_asked_for_longest_goes_first() -> None:
    cache = make(entries=3)
    for name in "abc":
        put(cache, key(name), "clean")
    assert cache.find(key("a"))
    put(cache, key("d"), "clean")
    assert [name for name in "abcd" if cache.find(key(name))] == ["a", "c", "d"]
    assert cache.statistics.evicted == 1


def test_it_is_bounded_by_bytes() -> None:
    cache = make(megabytes=1, size=300_000)
    for name in "abcdef":
        put(cache, key(name), "clean")
    assert [name for name in "abcdef" if cache.find(key(name))] == ["d", "e", "f"]
    assert cache.statistics.bytes <= 1 << 20
    small = make(megabytes=1, size=2_000_000)
    put(small, key(), "clean")
    assert small.statistics.entries == 0


def test_without_entries_scans_are_still_shared() -> None:
    cache, scans = make(entries=0), Scans()
    answers = [told(cache.ask(key(), scans(f"s{number}"))) for number in range(2)]
    scans.open["s0"].callback("clean")
    assert answers == [["clean"]] * 2
    told(cache.ask(key(), scans("again")))
    assert scans.begun == ["s0", "again"]


def test_a_reload_keeps_what_still_counts() -> None:
    cache = make()
    for name in "abc":
        put(cache, key(name), "clean")
    cache.adopt(CacheOptions(entries=2))
    assert [name for name in "abc" if cache.find(key(name))] == ["b", "c"]


def test_entries_of_older_tags_die() -> None:
    cache = make()
    put(cache, key("a", "old"), "clean")
    put(cache, key("b", "now"), "clean")
    assert cache.find(key("a", "old"))  # a message that began before the reload
    put(cache, key("c", "next"), "clean")
    assert cache.statistics.entries == 2
    assert cache.find(key("a", "old")) is None
    assert cache.find(key("b", "now"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefgh"), st.sampled_from("tuv"), st.sampled_from("ecf"), st.integers(0, 5)
        )
    )
)
def test_counts_hold_whatever_happens(steps: list[tuple[str, str, str, int]]) -> None:
    clock = Clock()
    cache = make(clock, size=100, entries=5, clean_ttl=4, found_ttl=9)
    for content, tag, value, seconds in steps:
        clock.advance(seconds)
        where = key(content, tag)
        known = cache.find(where)

        async def scan(value: str = value) -> str:
            return value

        assert told(cache.ask(where, scan)) == [known or value]
        assert cache.statistics.entries == len(cache._entries) <= 5
        assert cache.statistics.bytes == sum(entry.size for entry in cache._entries.values())
