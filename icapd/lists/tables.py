"""Sorted tables that are searched by halving, in place: address ranges and file digests.

Both are bytes, usually of a mapped file. A number beside each row leads to the set of
lists it is in.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_LONGEST = 401  # bytes: a hundred characters in UTF-8 and the end


class _Wide:
    """Rows of `width` bytes as a sequence, for bisect: big-endian bytes sort as numbers do."""

    def __init__(self, rows: memoryview, width: int) -> None:
        self._rows = rows
        self._width = width

    def __len__(self) -> int:
        return len(self._rows) // self._width

    def __getitem__(self, at: int) -> bytes:
        width = self._width
        return bytes(self._rows[at * width : at * width + width])


class RangeTable:
    """Addresses of one family: row n holds from its start up to the next row's start.

    `width` is 4 or 16 bytes. Number 0 means "in no list".
    """

    def __init__(self, starts: memoryview, numbers: memoryview, width: int) -> None:
        self.width = width
        self._starts = _Wide(starts, width)
        self._numbers = numbers
        if len(self._starts) != len(numbers):
            raise ValueError("a table of ranges is not whole")

    def find(self, address: int) -> int:
        """Return the number of the range that holds `address`, or 0."""
        at = bisect_right(self._starts, address.to_bytes(self.width, "big")) - 1
        return int(self._numbers[at]) if at >= 0 else 0


class DigestTable:
    """Digests of `width` bytes, sorted; exact. `starts` tells where in `text` a digest's name begins."""

    def __init__(
        self, digests: memoryview, numbers: memoryview, width: int, starts: memoryview, text: memoryview
    ) -> None:
        self.width = width
        self._digests = _Wide(digests, width)
        self._numbers = numbers
        self._starts = starts
        self._text = text
        if not len(self._digests) == len(numbers) == len(starts):
            raise ValueError("a table of digests is not whole")

    def find(self, digest: bytes) -> tuple[int, str] | None:
        """Return the number and the name ("" if it has none) of `digest`, or None if it is not there."""
        at = bisect_left(self._digests, digest)
        if at == len(self._digests) or self._digests[at] != digest:
            return None
        start = int(self._starts[at])
        name = bytes(self._text[start : start + _LONGEST]).partition(b"\0")[0]
        return int(self._numbers[at]), name.decode()


def flatten(ranges: Iterable[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Return (start, mask) rows of overlapping (first, last, mask): the masks are ORed where they overlap.

    A row with mask 0 ends the one before it where nothing follows at once.
    """
    edges: dict[int, dict[int, int]] = {}
    for first, last, mask in ranges:
        for at, step in ((first, 1), (last + 1, -1)):
            bits = edges.setdefault(at, {})
            bits[mask] = bits.get(mask, 0) + step
    counts: dict[int, int] = {}
    rows: list[tuple[int, int]] = []
    before = 0
    for at in sorted(edges):
        for mask, step in edges[at].items():
            counts[mask] = counts.get(mask, 0) + step
            if not counts[mask]:
                del counts[mask]
        now = _union(counts)
        if now != before:
            rows.append((at, now))
            before = now
    return rows


def _union(counts: Mapping[int, int]) -> int:
    mask = 0
    for each in counts:
        mask |= each
    return mask


def pack(starts: Sequence[int], width: int) -> bytes:
    """Return numbers as rows of `width` bytes."""
    return b"".join(start.to_bytes(width, "big") for start in starts)
