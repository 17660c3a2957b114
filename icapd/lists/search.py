"""Regular expressions of all lists, searched for in one pass over a URL."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import re2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_SET = 1 << 28  # bytes of one set's automaton, which is made as it is needed
_WITNESS = ""  # matches everywhere


def expression_options(memory: int) -> re2.Options:
    """Return how expressions are read: no captures, any case, no complaints on standard error."""
    options = re2.Options()
    options.never_capture = True
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = memory
    return options


class SearchSet:
    """Patterns that RE2 searches for as one automaton.

    An automaton that outgrows its memory finds nothing and says nothing. So one pattern more, the
    witness, always matches: where even that is not found, the answer is none to believe.
    """

    def __init__(self, patterns: Sequence[str], options: re2.Options) -> None:
        """Raise re2.error if they are too many to compile."""
        self._set = re2.Set.SearchSet(options)
        for pattern in (_WITNESS, *patterns):
            self._set.Add(pattern)
        self._set.Compile()

    def believed(self, text: str) -> list[int] | None:
        """Return the numbers of the patterns found in `text`, None if RE2 gave up."""
        numbers = self._set.Match(text.encode("utf-8", "replace")) or ()
        return [number - 1 for number in numbers if number] if 0 in numbers else None


class _Set(SearchSet):
    """Expressions of lists, asked one by one where the automaton gave up."""

    def __init__(self, patterns: Sequence[str], memory: int) -> None:
        super().__init__(patterns, expression_options(memory))
        self._patterns = patterns

    def find(self, text: str) -> list[int]:
        """Return the numbers of the expressions found in `text`."""
        found = self.believed(text)
        if found is not None:
            return found
        return [number for number, one in enumerate(self._each) if one.search(text) is not None]

    @cached_property
    def _each(self) -> list[re2._Regexp]:
        return [re2.compile(pattern, expression_options(MAX_SET)) for pattern in self._patterns]


class Expressions:
    """(expression, lists it is in), asked together."""

    def __init__(self, written: Sequence[tuple[str, tuple[str, ...]]], memory: int = MAX_SET) -> None:
        self._held = [lists for _, lists in written]
        self.lists = frozenset(name for lists in self._held for name in lists)
        self.size = len(written)
        self._sets = tuple(_sets([pattern for pattern, _ in written], 0, memory))

    def find(self, text: str) -> set[str]:
        """Return the lists with an expression that is found in `text`."""
        return {
            name
            for first, one in self._sets
            for number in one.find(text)
            for name in self._held[first + number]
        }


def _sets(patterns: list[str], first: int, memory: int) -> Iterator[tuple[int, _Set]]:
    """Yield sets with the number of their first expression: halves of what is too large for one."""
    if not patterns:
        return
    try:
        yield first, _Set(patterns, memory)
    except re2.error:
        if len(patterns) == 1:
            raise
        middle = len(patterns) // 2
        yield from _sets(patterns[:middle], first, memory)
        yield from _sets(patterns[middle:], first + middle, memory)
