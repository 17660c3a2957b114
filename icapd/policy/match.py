"""Matchers: what a criterion asks, as frozen data.

One matcher is evaluated here, printed by `explain` and compiled to a Squid ACL, hence no
closures. `truth` is True, False or None (unknown at this point). With `strict`
a matcher errs towards False and needs all names of the message to agree; without, it errs
towards True and one name suffices. Rules match generously to block, strictly to exempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from icapd.accounts import user_forms
from icapd.http import DEFAULT_PORTS, is_address
from icapd.policy.addresses import Ranges, address_number, embedded_addresses
from icapd.policy.wildcards import Wildcard, fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from icapd.policy.facts import Facts

Truth = bool | None
Key = tuple[str, str]  # (dimension, value) under which the index files a rule


class Matcher(Protocol):
    """One criterion of a rule."""

    @property
    def criterion(self) -> str:
        """The word the policy has for it."""
        ...

    @property
    def wanted(self) -> tuple[str, ...]:
        """Its values as the administrator wrote them."""
        ...

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Tell whether it holds."""
        ...

    def found(self, facts: Facts) -> str:
        """Return the fact it looks at, for `explain`; "" when unknown."""
        ...

    def keys(self) -> tuple[Key, ...] | None:
        """Return keys one of which every match has, or None if there are no such keys."""
        ...


def _over_names(names: tuple[str, ...], one: Callable[[str], bool], *, strict: bool) -> Truth:
    if not names:
        return None
    return all(map(one, names)) if strict else any(map(one, names))


def parents(name: str) -> Iterator[str]:
    """Yield a name and its parent domains: "a.b.c", "b.c", "c"."""
    while name:
        yield name
        name = name.partition(".")[2]


@dataclass(frozen=True, slots=True)
class HostIs:
    """`host`: names with their subdomains, exact names, addresses and networks."""

    wanted: tuple[str, ...]
    domains: frozenset[str]
    exact: frozenset[str]
    networks: Ranges
    criterion = "host"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Hold for any name (all, if strict), generously also for an address that the host leads to."""
        if not strict and self.networks and any(map(self._leads, facts.tx.addresses)):
            return True
        return _over_names(facts.names, self._strict if strict else self._generous, strict=strict)

    def _leads(self, text: str) -> bool:
        address = address_number(text)
        return address is not None and self.networks.holds(address)

    def _strict(self, name: str) -> bool:
        if name in self.exact:
            return True
        if is_address(name):
            address = address_number(name)
            return address is not None and self.networks.holds(address)
        return not self.domains.isdisjoint(parents(name))

    def _generous(self, name: str) -> bool:
        return self._strict(name) or any(map(self._strict, embedded_addresses(name)))

    def found(self, facts: Facts) -> str:
        """Return the message's names, and the addresses they lead to."""
        return ", ".join((*facts.names, *(f"leads to {each}" for each in facts.tx.addresses)))

    def keys(self) -> tuple[Key, ...] | None:
        """File it under its names, and under "any address" if it has networks."""
        names = [("name", name) for name in sorted(self.domains | self.exact)]
        return (*names, ("address", "")) if self.networks else tuple(names)


@dataclass(frozen=True, slots=True)
class UrlPattern:
    """One URL of a policy: None is any; `path` is a prefix by whole segments unless `exact`.

    `readings` are the path's spellings, as `facts.spellings` gives them.
    """

    scheme: str | None
    host: str
    subdomains: bool
    port: int | None
    path: str
    query: str | None
    exact: bool
    readings: tuple[str, ...]

    @property
    def needs_path(self) -> bool:
        """Tell whether a CONNECT cannot decide it."""
        return self.exact or self.path != "/" or self.query is not None

    def has_host(self, name: str) -> bool:
        """Compare one name of the message."""
        return name == self.host or (self.subdomains and name.endswith("." + self.host))

    def has_paths(self, paths: tuple[str, ...], *, strict: bool) -> bool:
        """Compare the spellings of a request's path, normal form first.

        Strictly, the normal form must be below this one's and no other reading elsewhere;
        generously, any reading below any of this one's will do, in any case of letters.
        """
        if strict:
            return self._holds(self.path, paths[0]) and all(
                any(self._holds(own, path) for own in self.readings) for path in paths
            )
        own_folded = [own.lower() for own in self.readings]
        return any(self._holds(own, path.lower()) for own in own_folded for path in paths)

    def has_tail(self, query: str, paths: tuple[str, ...], *, strict: bool) -> bool:
        """Compare query and path; a query counts only where the pattern has one."""
        if self.query is not None:
            same = query == self.query if strict else query.lower() == self.query.lower()
            if not same:
                return False
        return self.has_paths(paths, strict=strict)

    def _holds(self, prefix: str, path: str) -> bool:
        if path == prefix or path.rstrip("/") == prefix.rstrip("/"):
            return True
        return not self.exact and path.startswith(prefix if prefix.endswith("/") else prefix + "/")


@dataclass(frozen=True, slots=True)
class UrlIs:
    """`url`: scheme, host, port, path and query, as far as each pattern gives them."""

    wanted: tuple[str, ...]
    patterns: tuple[UrlPattern, ...]
    criterion = "url"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Hold if one pattern does; unknown if none does but one could with the path known."""
        result: Truth = False
        for pattern in self.patterns:
            one = _url_truth(pattern, facts, strict=strict)
            if one:
                return True
            if one is None:
                result = None
        return result

    def found(self, facts: Facts) -> str:
        """Return the URL in normal form."""
        return "" if facts.target is None else facts.target.text

    def keys(self) -> tuple[Key, ...] | None:
        """File it under its hosts (their subdomains are found by walking up)."""
        return tuple(("name", host) for host in sorted({pattern.host for pattern in self.patterns}))


def _url_truth(pattern: UrlPattern, facts: Facts, *, strict: bool) -> Truth:
    place = _place_truth(pattern, facts, strict=strict)
    if place is False or not pattern.needs_path:
        return place
    target = facts.target
    if target is None or target.path is None:
        return None
    return pattern.has_tail(target.query or "", facts.spellings, strict=strict) and place


def _place_truth(pattern: UrlPattern, facts: Facts, *, strict: bool) -> Truth:
    """Compare host, scheme and port; the port of a scheme counts where none is given."""
    names = _over_names(facts.names, pattern.has_host, strict=strict)
    target = facts.target
    if names is False or target is None:
        return False if names is False else None
    port = pattern.port
    if pattern.scheme is not None:
        if target.scheme != pattern.scheme:
            return False
        port = port or DEFAULT_PORTS[pattern.scheme]
    return names if port is None or port == target.port else False


@dataclass(frozen=True, slots=True)
class MethodIs:
    """`method`: upper-case names. Squid sends upper case; other clients may not.

    Generously a method counts too that a server is asked to take for the one sent.
    """

    wanted: tuple[str, ...]
    methods: frozenset[str]
    criterion = "method"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Compare; a method in another case is matched generously only."""
        method = facts.method
        if method is None:
            return None
        if strict:
            return method in self.methods
        return method.upper() in self.methods or not self.methods.isdisjoint(facts.overriding_methods)

    def found(self, facts: Facts) -> str:
        """Return the method, and those that are to override it."""
        return ", ".join((facts.method or "", *facts.overriding_methods))

    def keys(self) -> tuple[Key, ...] | None:
        """File it under each method."""
        return tuple(("method", method) for method in sorted(self.methods))


@dataclass(frozen=True, slots=True)
class PortIs:
    """`port`: inclusive ranges of the port the request goes to."""

    wanted: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]
    criterion = "port"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:  # noqa: ARG002  (a port has one spelling)
        """Compare the target's port, given or default."""
        if facts.target is None:
            return None
        return any(first <= facts.target.port <= last for first, last in self.ranges)

    def found(self, facts: Facts) -> str:
        """Return the port."""
        return "" if facts.target is None else str(facts.target.port)

    def keys(self) -> tuple[Key, ...] | None:
        """File it under each port if they are few."""
        if sum(last - first + 1 for first, last in self.ranges) > 64:  # noqa: PLR2004
            return None
        ports = {port for first, last in self.ranges for port in range(first, last + 1)}
        return tuple(("port", str(port)) for port in sorted(ports))


@dataclass(frozen=True, slots=True)
class SchemeIs:
    """`scheme`: http, https, ftp, ws, wss. A CONNECT counts as https."""

    wanted: tuple[str, ...]
    schemes: frozenset[str]
    criterion = "scheme"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:  # noqa: ARG002  (a scheme has one spelling)
        """Compare the target's scheme."""
        return None if facts.target is None else facts.target.scheme in self.schemes

    def found(self, facts: Facts) -> str:
        """Return the scheme."""
        return "" if facts.target is None else facts.target.scheme

    def keys(self) -> tuple[Key, ...] | None:
        """Schemes are too few to tell rules apart."""
        return None


@dataclass(frozen=True, slots=True)
class ClientIs:
    """`client`: addresses, networks and ranges of who asks."""

    wanted: tuple[str, ...]
    networks: Ranges
    criterion = "client"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:  # noqa: ARG002  (an address has one spelling)
        """Compare; a client not told at the last point is absent."""
        if facts.client is None:
            return False if facts.is_final else None
        return self.networks.holds(facts.client)

    def found(self, facts: Facts) -> str:
        """Return the address."""
        return facts.tx.client.address or ""

    def keys(self) -> tuple[Key, ...] | None:
        """File it as one of the rules found by the client's address."""
        return (("client", ""),)


@dataclass(frozen=True, slots=True)
class UserIs:
    """`user`: names, compared without regard to case; `*` stands for anything."""

    wanted: tuple[str, ...]
    exact: frozenset[str]
    patterns: tuple[Wildcard, ...]
    criterion = "user"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Compare; generously, "alice" is also alice@REALM and DOMAIN/alice (with backslash)."""
        user = facts.tx.client.user
        if not user:
            return False if facts.is_final else None
        forms = (user.casefold(),) if strict else user_forms(user)
        return not self.exact.isdisjoint(forms) or any(
            fits(pattern, form) for pattern in self.patterns for form in forms
        )

    def found(self, facts: Facts) -> str:
        """Return the user's name."""
        return facts.tx.client.user or ""

    def keys(self) -> tuple[Key, ...] | None:
        """File it under its names, and under "any user" if it has patterns."""
        names = [("user", name) for name in sorted(self.exact)]
        return (*names, ("user", "*")) if self.patterns else tuple(names)
