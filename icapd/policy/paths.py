"""Matchers on the URL beyond its host: `path` on any host, and `regex` on the whole URL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icapd.policy.facts import Facts
    from icapd.policy.match import Key, Truth, UrlPattern


@dataclass(frozen=True, slots=True)
class PathIs:
    """`path`: prefixes by whole segments, on any host; "=/x" is this path and not what is below it."""

    wanted: tuple[str, ...]
    patterns: tuple[UrlPattern, ...]  # their scheme, host and port do not count
    criterion = "path"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Compare every spelling of the path; a tunnel has none yet."""
        target = facts.target
        if target is None or target.path is None:
            return None
        query = target.query or ""
        return any(pattern.has_tail(query, facts.spellings, strict=strict) for pattern in self.patterns)

    def found(self, facts: Facts) -> str:
        """Return the path in every spelling."""
        return ", ".join(facts.spellings)

    def keys(self) -> tuple[Key, ...] | None:
        """File it under its spellings."""
        found = {path_key(reading) for pattern in self.patterns for reading in pattern.readings}
        return tuple(("path", key) for key in sorted(found))


def path_key(path: str) -> str:
    """Return the key of a path that is a prefix: folded, without the slash at its end."""
    return path.lower().rstrip("/")


@dataclass(frozen=True, slots=True)
class RegexIs:
    """`regex`: RE2, anywhere in the URL's normal form unless anchored.

    Generously under any name, in any spelling and any case of letters; strictly all of them as
    they are. All regexes of a policy are asked at once: see icapd.policy.regexes.
    """

    wanted: tuple[str, ...]
    criterion = "regex"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Tell whether one of them is among those that match."""
        if not facts.urls:
            return None
        hits = facts.exact_regexes if strict else facts.loose_regexes
        return not hits.isdisjoint(self.wanted)

    def found(self, facts: Facts) -> str:
        """Return the URL in every spelling."""
        return ", ".join(facts.urls)

    def keys(self) -> tuple[Key, ...] | None:
        """File it under its regexes."""
        return tuple(("regex", pattern) for pattern in self.wanted)
