"""Matchers on the message at hand as a message: its direction, its header fields, its upgrade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.policy.wildcards import Wildcard, fits

if TYPE_CHECKING:
    from icapd.http import Headers
    from icapd.policy.facts import Facts
    from icapd.policy.match import Key, Truth

REQUEST, RESPONSE = "request", "response"


@dataclass(frozen=True, slots=True)
class DirectionIs:
    """`direction`: request or response: the rule is asked for these messages alone."""

    wanted: tuple[str, ...]
    criterion = "direction"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:  # noqa: ARG002  (a point has one direction)
        """Compare; known at every point."""
        return self.found(facts) in self.wanted

    def found(self, facts: Facts) -> str:
        """Return the direction of the message at hand."""
        return RESPONSE if facts.is_response else REQUEST

    def keys(self) -> tuple[Key, ...] | None:
        """File it under its directions, unless it has both."""
        return tuple(("direction", each) for each in self.wanted) if len(set(self.wanted)) == 1 else None


@dataclass(frozen=True, slots=True)
class HeaderIs:
    """`header` (of the message at hand) and `request_header` (at both points of the request).

    `fields`: (lower-case name, pattern in folded case, pattern as written).
    """

    wanted: tuple[str, ...]
    fields: tuple[tuple[bytes, Wildcard, Wildcard], ...]
    criterion: str

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Hold for any value of any field in any case; strictly for all its values, as written."""
        headers = self._headers(facts)
        if headers is None:
            return None
        return any(_has(headers, *field, strict=strict) for field in self.fields)

    def _headers(self, facts: Facts) -> Headers | None:
        if self.criterion == "header":
            return facts.headers
        return None if facts.tx.request is None else facts.tx.request.headers

    def found(self, facts: Facts) -> str:
        """Return the fields asked for, as they came."""
        headers = self._headers(facts)
        if headers is None:
            return ""
        names = dict.fromkeys(name for name, _, _ in self.fields)
        return ", ".join(
            f"{name.decode('latin-1')}: {value.decode('utf-8', 'replace')}"
            for name in names
            for value in headers.get_all(name)
        )

    def keys(self) -> tuple[Key, ...] | None:
        """Fields are too many to be filed."""
        return None


def _has(headers: Headers, name: bytes, folded: Wildcard, written: Wildcard, *, strict: bool) -> bool:
    values = [value.decode("utf-8", "replace") for value in headers.get_all(name)]
    if strict:
        return bool(values) and all(fits(written, value) for value in values)
    return any(fits(folded, value.casefold()) for value in values)


@dataclass(frozen=True, slots=True)
class UpgradeIs:
    """`upgrade`: protocols the message would change to (websocket, h2c); `*` is any."""

    wanted: tuple[str, ...]
    protocols: frozenset[str]
    criterion = "upgrade"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Hold for any token of any Upgrade field (all, if strict); a ws URL asks for websocket."""
        if facts.headers is None:
            return None
        tokens = upgrades(facts)
        if "*" in self.protocols:
            return bool(tokens)
        return bool(tokens) and self.protocols.issuperset(tokens) if strict else self._any(tokens)

    def _any(self, tokens: frozenset[str]) -> bool:
        return not self.protocols.isdisjoint(tokens)

    def found(self, facts: Facts) -> str:
        """Return the protocols."""
        return ", ".join(sorted(upgrades(facts)))

    def keys(self) -> tuple[Key, ...] | None:
        """Protocols are too few to tell rules apart."""
        return None


def upgrades(facts: Facts) -> frozenset[str]:
    """Return the protocols that the request, and at RESPMOD its response, would change to."""
    heads = [head.headers for head in (facts.tx.request, facts.tx.response) if head is not None]
    tokens = {
        token.partition(b"/")[0].strip().lower().decode("latin-1")
        for headers in heads
        for value in headers.get_all(b"upgrade")
        for token in value.split(b",")
    }
    if facts.target is not None and facts.target.scheme in {"ws", "wss"}:
        tokens.add("websocket")
    return frozenset(tokens - {""})
