import pytest

from icapd.content.budget import Bounds, Budget, LimitReached, Stream


def test_many_small_bombs_are_one() -> None:
    budget = Budget(Bounds(ratio=10, spared=1000), size=10_000)
    for _ in range(5):
        Stream(budget, source=20).output(400)  # twice what is fair
    with pytest.raises(LimitReached, match="ratio"):
        Stream(budget, source=20).output(400)


def test_what_is_fair_costs_nothing() -> None:
    budget = Budget(Bounds(ratio=10, spared=0), size=10_000)
    for _ in range(50):
        Stream(budget, source=100).output(1000)
    assert budget.excess == 0


@pytest.mark.parametrize(
    ("bounds", "text"),
    [(Bounds(unpacked=10), "unpacked size"), (Bounds(spared=10, ratio=2), "ratio")],
)
def test_output_ends_at_each_bound(bounds: Bounds, text: str) -> None:
    budget = Budget(bounds, size=1)
    budget.output(10)
    with pytest.raises(LimitReached, match=text):
        budget.output(10)


def test_members_depth_and_time_end() -> None:
    budget = Budget(Bounds(members=1, depth=2, seconds=0.0), size=1)
    budget.descend(2)
    with pytest.raises(LimitReached, match="depth"):
        budget.descend(3)
    with pytest.raises(LimitReached, match="time"):
        budget.member()
    budget = Budget(Bounds(members=1), size=1)
    budget.member()
    with pytest.raises(LimitReached, match="members"):
        budget.member()


def test_room_is_what_may_still_come() -> None:
    budget = Budget(Bounds(unpacked=1000, ratio=10, spared=100), size=20)
    assert budget.room == 300
    budget.output(250)
    assert budget.room == 50


def test_a_stream_is_known_for_a_bomb_by_what_it_was_made_of_so_far() -> None:
    budget = Budget(Bounds(ratio=10, spared=100), size=10_000)
    stream = Stream(budget, source=1000)
    stream.output(300, read=20)
    with pytest.raises(LimitReached, match="ratio"):
        stream.output(300, read=40)
    stream = Stream(Budget(Bounds(ratio=10, spared=100), size=10_000), source=1000)
    stream.output(300, read=20)
    stream.output(200, read=500)
    assert stream.excess == 0
