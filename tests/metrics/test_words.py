"""The words: places that do not overlap, rows of adapters by name, sums over processes."""

from __future__ import annotations

from icapd.metrics import words as at
from icapd.metrics.words import AdapterRow, adapters_of, count_duration, new_words, set_adapter, total_of
from icapd.server.ledger import Ledger, make_ledger


def test_places_follow_each_other_and_fit_into_a_ledger() -> None:
    sizes = {
        at.TRANSACTIONS: 12, at.QUICK: 12, at.RESPONSES: 4, at.UNANSWERED: 1, at.OPTIONS: 1, at.RECEIVED: 1,
        at.SENT: 1, at.CONNECTIONS: 1, at.STRANGERS: 1, at.PREVIEWS: 1, at.CONTINUES: 1, at.LATE: 1,
        at.HITS: 1, at.MISSES: 1, at.SHARED: 1, at.EVICTED: 1, at.CHILDREN_LATE: 1, at.CHILDREN_DIED: 1,
        at.NO_CHILD: 1, at.SCANS: 6, at.FINDINGS: len(at.KINDS), at.LIMIT: len(at.LIMITS),
        at.DURATIONS: len(at.BOUNDS) + 2, at.ADAPTERS: at.GAUGES - at.ADAPTERS,
        at.GAUGES: len(at.GAUGE_NAMES),
    }  # fmt: skip
    starts = sorted(sizes)
    assert starts[0] == 0
    assert [start + sizes[start] for start in starts] == [*starts[1:], at.SIZE]
    ledger = Ledger(make_ledger().descriptor)
    words = list(range(at.SIZE))
    ledger.publish(words)
    assert ledger.counts() == words
    assert (ledger.closed, ledger.requests, ledger.lost) == (0, 0, 0)
    ledger.quiet()
    assert ledger.counts() == words[: at.GAUGES] + [0] * len(at.GAUGE_NAMES)


def test_adapters_have_rows_by_name_on_top_of_what_they_had() -> None:
    words = new_words()
    first = AdapterRow("clamd", (5, 1, 0), 2.5)
    set_adapter(words, first)
    set_adapter(words, AdapterRow("a" * 64, (0, 0, 1), 0.25))
    before = tuple(adapters_of(words))
    assert before == (first, AdapterRow("a" * 64, (0, 0, 1), 0.25))
    set_adapter(words, AdapterRow("clamd", (1, 1, 1), 0.5), before)
    set_adapter(words, AdapterRow("clamd", (2, 1, 1), 1.0), before)
    assert next(adapters_of(words)) == AdapterRow("clamd", (7, 2, 1), 3.5)
    for number in range(2 * at.MAX_ADAPTERS):
        set_adapter(words, AdapterRow(f"other{number}", (1, 0, 0), 0.0))
    assert len(list(adapters_of(words))) == at.MAX_ADAPTERS
    assert len(words) == at.SIZE
    assert words[at.GAUGES :] == [0] * len(at.GAUGE_NAMES)


def test_several_processes_are_summed_whatever_the_order_of_their_adapters() -> None:
    one, other = new_words(), new_words()
    one[at.SENT], other[at.SENT] = 3, 4
    set_adapter(one, AdapterRow("a", (1, 0, 0), 1.0))
    set_adapter(one, AdapterRow("b", (2, 0, 0), 1.0))
    set_adapter(other, AdapterRow("b", (4, 1, 0), 0.5))
    total = total_of([one, other])
    assert total[at.SENT] == 7
    assert set(adapters_of(total)) == {AdapterRow("a", (1, 0, 0), 1.0), AdapterRow("b", (6, 1, 0), 1.5)}
    assert total_of([]) == new_words()


def test_durations_fall_under_the_first_bound_that_holds_them() -> None:
    words = new_words()
    for seconds in (0.0, at.BOUNDS[0], 0.3, 99.0):
        count_duration(words, seconds)
    found = words[at.DURATIONS : at.DURATIONS + len(at.BOUNDS) + 1]
    assert (found[0], found[at.BOUNDS.index(0.5)], found[-1], sum(found)) == (2, 1, 1, 4)
    assert words[at.DURATIONS + len(at.BOUNDS) + 1] == 99_305_000
