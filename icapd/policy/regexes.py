"""All regexes of a policy in one RE2 set: 5,000 of them cost one scan of the URL.

RE2 is linear in the text whatever the regex is; what it cannot do (look-around, back
references) is refused at load. Where a set's automaton outgrew its memory, which SearchSet
tells, the regexes are asked one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import re2

from icapd.lists.search import SearchSet

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_MEM = 128 << 20  # bytes for a set's program and automaton; taken as it is needed
_ONE_MEM = 8 << 20  # for a single regex: a{1000}{1000} is refused


class RegexError(ValueError):
    """A regex, or all of them together, that RE2 does not take; the text says why."""


def check_regex(pattern: str) -> str:
    """Return `pattern` if RE2 takes it. Raises RegexError."""
    try:
        re2.compile(_of_case(pattern), _options(_ONE_MEM))
        re2.compile(pattern, _options(_ONE_MEM))
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        msg = f"{pattern!r} is no regex that takes linear time (RE2): {text}"
        raise RegexError(msg) from error
    except UnicodeEncodeError:
        raise RegexError(f"{pattern!r} holds half a surrogate pair, which no URL can") from None
    return pattern


def _options(memory: int) -> re2.Options:
    options = re2.Options()
    options.max_mem = memory
    options.log_errors = False
    options.dot_nl = True
    return options


def _of_case(pattern: str) -> str:
    return f"(?i:{pattern})"


class _Set(SearchSet):
    """Regexes compiled together; `find` returns those that match somewhere in a text."""

    def __init__(self, written: dict[str, str], memory: int) -> None:
        """`written` leads from what RE2 gets to the regex as the policy has it."""
        self.patterns = tuple(written.values())
        self._each = tuple(written)
        message = f"these {len(written)} regexes are too many for RE2's {memory:,} bytes"
        try:
            super().__init__(self._each, _options(memory))
        except re2.error as error:
            raise RegexError(message) from error
        if self.believed("http://example/") is None:  # compiled, and no room left to match
            raise RegexError(message)

    def find(self, text: str) -> frozenset[str]:
        """Return the regexes that match."""
        if not self.patterns:
            return frozenset()
        numbers = self.believed(text)
        if numbers is None:
            return frozenset(self._one_by_one(text))
        return frozenset([self.patterns[number] for number in numbers])

    def _one_by_one(self, text: str) -> Iterable[str]:
        for pattern, each in zip(self.patterns, self._each, strict=True):
            if re2.compile(each, _options(MAX_MEM)).search(text):
                yield pattern


class RegexSet:
    """The regexes that block, letters' case ignored, and those that exempt, as they are."""

    def __init__(self, loose: Iterable[str], exact: Iterable[str], memory: int = MAX_MEM) -> None:
        """Raise RegexError if they are too many for `memory` bytes."""
        self._loose = _Set({_of_case(pattern): pattern for pattern in loose}, memory)
        self._exact = _Set({pattern: pattern for pattern in exact}, memory)

    def loose(self, text: str) -> frozenset[str]:
        """Return the blocking regexes that match `text`."""
        return self._loose.find(text)

    def exact(self, text: str) -> frozenset[str]:
        """Return the exempting regexes that match `text`."""
        return self._exact.find(text)


NO_REGEXES = RegexSet((), ())
