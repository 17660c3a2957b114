"""Tables searched by halving agree with plain comparison."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icapd.lists.tables import DigestTable, RangeTable, flatten, pack

RANGES = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 7)).map(
        lambda r: (min(r[:2]), max(r[:2]), r[2])
    )
)


@given(RANGES, st.integers(0, 45))
def test_ranges_agree_with_plain_comparison(ranges: list[tuple[int, int, int]], address: int) -> None:
    expected = 0
    for first, last, mask in ranges:
        expected |= mask if first <= address <= last else 0
    rows = flatten(ranges)
    assert [start for start, _ in rows] == sorted({start for start, _ in rows})
    held = [mask for start, mask in rows if start <= address]
    assert (held[-1] if held else 0) == expected


@given(RANGES, st.integers(0, 45))
def test_a_table_of_ranges_finds_what_flattened_ranges_say(
    ranges: list[tuple[int, int, int]], address: int
) -> None:
    rows = flatten(ranges)
    numbers = memoryview(bytes(mask for _, mask in rows))
    found = RangeTable(memoryview(pack([start for start, _ in rows], 4)), numbers, 4).find(address)
    held = [mask for start, mask in rows if start <= address]
    assert found == (held[-1] if held else 0)


@given(st.sets(st.binary(min_size=2, max_size=2)), st.binary(min_size=2, max_size=2))
def test_a_table_of_digests_finds_what_a_set_holds(digests: set[bytes], asked: bytes) -> None:
    rows = b"".join(sorted(digests))
    numbers = memoryview(bytes(len(digests)))
    table = DigestTable(memoryview(rows), numbers, 2, numbers, memoryview(b"name\0"))
    assert table.find(asked) == ((0, "name") if asked in digests else None)
