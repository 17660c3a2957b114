"""`list` and `category`: names, URLs, addresses and digests that stand in lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icapd.policy.facts import Facts
    from icapd.policy.match import Key, Truth


@dataclass(frozen=True, slots=True)
class ListIs:
    """`list` and `category`: the message is in one of `lists`, whose categories are `shown`.

    `has_digests`: one of them holds digests, so that only a body that was read can deny it.
    """

    wanted: tuple[str, ...]
    lists: tuple[str, ...]
    shown: tuple[str, ...]
    has_digests: bool = False
    criterion: str = "list"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Hold if any name (all, if strict) is listed, or its URL, an address behind it or the body."""
        hits = [self._in(found) for found in facts.listed(strict=strict)]
        if hits and (all(hits) if strict else any(hits)):
            return True
        if not strict and self._in(facts.listed_otherwise):
            return True
        return None if not hits or self._may_yet(facts) else False

    def _in(self, found: tuple[str, ...]) -> bool:
        return any(name in self.lists for name in found)

    def _may_yet(self, facts: Facts) -> bool:
        """Tell whether the path or the body, unknown now, could be in one of the lists."""
        if facts.path_unknown and self._in(facts.may_be_listed):
            return True
        return self.has_digests and facts.tx.body is None and facts.has_content is not False

    def found(self, facts: Facts) -> str:
        """Return the lists the message is in."""
        return ", ".join(self._found(facts))

    def _found(self, facts: Facts) -> dict[str, None]:
        by_name = (name for found in facts.listed(strict=False) for name in found)
        return dict.fromkeys((*by_name, *facts.listed_otherwise))

    def keys(self) -> tuple[Key, ...] | None:
        """File it under each list; one with digests is not known by its host."""
        return None if self.has_digests else tuple(("list", name) for name in self.lists)

    def category(self, facts: Facts) -> str | None:
        """Return the categories that decided, as shown on the page, given that it holds."""
        if len(self.lists) == 1:
            return self.shown[0]
        found = self._found(facts)
        shown = [each for name, each in zip(self.lists, self.shown, strict=True) if name in found]
        return ", ".join(dict.fromkeys(shown)) or None
