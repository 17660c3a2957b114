"""Matchers on a message's content, as far as its header, its name and its body tell.

A request's own content counts, and what the response will bring is unknown until it is
there: such a criterion is true or unknown at REQMOD, and false only with `direction:
request` beside it (`waits` is False then). Declared, found in the content, in the name: any
of them blocks, and only what all agree upon exempts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.policy.wildcards import Wildcard, fits

if TYPE_CHECKING:
    from icapd.policy.facts import Facts
    from icapd.policy.match import Key, Truth

Interval = tuple[int, int | None]  # bytes, inclusive; None: without end


def _or_later(facts: Facts, *, waits: bool) -> Truth:
    """Return what a message without a match says: false, if no message to come may have one."""
    if facts.is_response:
        return False if facts.tx.response is not None else None
    return None if waits or facts.is_tunnel else False


class _OnContent:
    """What the matchers here share: the index cannot file them."""

    __slots__ = ()

    def keys(self) -> tuple[Key, ...] | None:
        """Return None: content tells no rules apart before it is there."""
        return None


@dataclass(frozen=True, slots=True)
class MimeIs(_OnContent):
    """`mime`: type/subtype, type/* or */*: what Content-Type declares and what the body is."""

    wanted: tuple[str, ...]
    patterns: tuple[Wildcard, ...]
    waits: bool = True
    criterion = "mime"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Hold for any type declared or found (all, if strict)."""
        if facts.has_content is False:
            return _or_later(facts, waits=self.waits)
        claims = [frozenset([media]) for media in facts.media] + list(facts.sniffed)
        hits = [any(map(self._is, names)) for names in claims]
        if (all(hits) and bool(hits)) if strict else any(hits):
            return True
        return _or_later(facts, waits=self.waits)

    def _is(self, media: str) -> bool:
        return any(fits(pattern, media) for pattern in self.patterns)

    def found(self, facts: Facts) -> str:
        """Return the types declared, then those found in the content."""
        body = facts.tx.body
        inside = [f"content: {name}" for name in (body.file_types if body is not None else None) or ()]
        return ", ".join((*facts.media, *inside))


@dataclass(frozen=True, slots=True)
class FileTypeIs(_OnContent):
    """`file_type`: types by content, as icapd.policy.filetypes names them."""

    wanted: tuple[str, ...]
    types: frozenset[str]
    waits: bool = True
    criterion = "file_type"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Hold if the body is of one of these types (of no other as well, if strict)."""
        found = _of_body(facts, "file_types")
        if found is None:
            return None if facts.has_content is not False else _or_later(facts, waits=self.waits)
        if (bool(found) and self.types.issuperset(found)) if strict else not self.types.isdisjoint(found):
            return True
        return _or_later(facts, waits=self.waits)

    def found(self, facts: Facts) -> str:
        """Return the types found."""
        return ", ".join(_of_body(facts, "file_types") or ())


def _of_body(facts: Facts, name: str) -> tuple[str, ...] | None:
    """Return a fact of the body that was read: the types or the digests of all that is in it."""
    body = facts.tx.body
    value: tuple[str, ...] | None = None if body is None else getattr(body, name)
    return value


@dataclass(frozen=True, slots=True)
class FileNameIs(_OnContent):
    """`file_name`: wildcards, against the URL's last segment and the names the response gives."""

    wanted: tuple[str, ...]
    patterns: tuple[Wildcard, ...]
    waits: bool = True
    criterion = "file_name"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Hold for any reading of any name (for the plain reading of every name, if strict)."""
        names = facts.file_names
        if strict:
            if any(not self._is(readings[0]) for readings in names):
                return False
            return True if names else _or_later(facts, waits=self.waits)
        if any(map(self._is, {reading for readings in names for reading in readings})):
            return True
        return _or_later(facts, waits=self.waits)

    def _is(self, name: str) -> bool:
        folded = name.casefold()
        return any(fits(pattern, folded) for pattern in self.patterns)

    def found(self, facts: Facts) -> str:
        """Return the names, each in its plainest reading."""
        return ", ".join(readings[0] for readings in facts.file_names)


@dataclass(frozen=True, slots=True)
class SizeIs(_OnContent):
    """`size`: bytes that came, and bytes that Content-Length says; either may lie."""

    wanted: tuple[str, ...]
    intervals: tuple[Interval, ...]
    waits: bool = True
    criterion = "size"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Hold if either is inside (strictly: both, and the body has been read to its end)."""
        if facts.has_content is False and (facts.is_response or not self.waits):
            return _inside(0, self.intervals)
        came = None if facts.tx.body is None else facts.tx.body.size
        told = [size for size in (came, facts.length) if size is not None]
        hits = [_inside(size, self.intervals) for size in told]
        if strict:
            if not all(hits):
                return _or_later(facts, waits=self.waits)
            return True if came is not None else None
        if any(hits):
            return True
        return None if not hits and facts.has_content is not False else _or_later(facts, waits=self.waits)

    def found(self, facts: Facts) -> str:
        """Return the sizes known."""
        return _sizes(facts)


@dataclass(frozen=True, slots=True)
class ContentLengthIs(_OnContent):
    """`content_length`: the header of the message at hand; without one it is false."""

    wanted: tuple[str, ...]
    intervals: tuple[Interval, ...]
    criterion = "content_length"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Hold if the header is inside, or what came is (strictly: the header and all that is known)."""
        if facts.headers is None:
            return None
        came = None if facts.tx.body is None else facts.tx.body.size
        told = [size for size in (facts.length, came) if size is not None]
        hits = [_inside(size, self.intervals) for size in told]
        return facts.length is not None and all(hits) if strict else any(hits)

    def found(self, facts: Facts) -> str:
        """Return the sizes known."""
        return _sizes(facts)


def _inside(size: int, intervals: tuple[Interval, ...]) -> bool:
    return any(low <= size and (high is None or size <= high) for low, high in intervals)


def _sizes(facts: Facts) -> str:
    came = None if facts.tx.body is None else facts.tx.body.size
    told = ("Content-Length", facts.length), ("body", came)
    return ", ".join(f"{name} {size:,}" for name, size in told if size is not None)


@dataclass(frozen=True, slots=True)
class HashIs(_OnContent):
    """`md5` and `sha256`: digests, in hex, of the body as it came, decoded, and of what is inside."""

    wanted: tuple[str, ...]
    digests: frozenset[str]
    criterion: str
    waits: bool = True

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Hold if any digest is one of these (strictly: that of the body as it came)."""
        found = _of_body(facts, self.criterion)
        if found is None:
            return None if facts.has_content is not False else _or_later(facts, waits=self.waits)
        found = found[:1] if strict else found
        return _or_later(facts, waits=self.waits) if self.digests.isdisjoint(found) else True

    def found(self, facts: Facts) -> str:
        """Return the digests."""
        return ", ".join(_of_body(facts, self.criterion) or ())
