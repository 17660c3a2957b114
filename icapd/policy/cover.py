"""Whether one criterion, or one rule, holds wherever another does.

Only what follows from their words counts: False means "not shown", never "does not".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icapd.policy.match import (
    ClientIs,
    HostIs,
    MethodIs,
    PortIs,
    SchemeIs,
    UrlIs,
    parents,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from icapd.policy.addresses import Ranges
    from icapd.policy.match import Matcher
    from icapd.policy.rules import Rule

# A criterion with a list of values holds if any does, so fewer values hold in fewer places.
_ANY_OF = frozenset(
    {
        "list",
        "category",
        "user",
        "group",
        "user_agent",
        "path",
        "regex",
        "mime",
        "file_type",
        "file_name",
        "md5",
        "sha256",
        "upgrade",
        "homograph",
        "direction",
        "proxy_port",
        "workspace",
        "size",
        "content_length",
    }
)


def covers(wide: Rule, narrow: Rule) -> bool:
    """Whether `wide` holds wherever `narrow` does, apart from requests whose names disagree.

    `wide` may have no exceptions but such as `narrow` has too.
    """
    return all(any(implies(one, each) for one in narrow.when) for each in wide.when) and all(
        any(_all_implied(other, entry) for other in narrow.unless) for entry in wide.unless
    )


def in_every_case(wide: Rule, narrow: Rule) -> bool:
    """Whether no request whose names disagree can tell the two: strict rules hold in fewer places."""
    return narrow.exempts or not wide.exempts


def excepts_itself(rule: Rule) -> int | None:
    """Return the number of the `unless` entry that holds wherever `when` does, or None."""
    for number, entry in enumerate(rule.unless, 1):
        if all(any(implies(one, each) for one in rule.when) for each in entry):
            return number
    return None


def _all_implied(entry: Iterable[Matcher], narrow: tuple[Matcher, ...]) -> bool:
    """Whether wherever `narrow`, an exception of the wide rule, holds, the narrow rule's `entry` does."""
    return all(any(implies(one, each) for one in narrow) for each in entry)


def implies(narrow: Matcher, wide: Matcher) -> bool:
    """Whether `wide` holds wherever `narrow` does."""
    if narrow == wide:
        return True
    if isinstance(wide, HostIs) and isinstance(narrow, UrlIs):
        return all(_has_host(wide, one.host, subdomains=one.subdomains) for one in narrow.patterns)
    if type(narrow) is type(wide) and type(wide) in _WITHIN:
        return _WITHIN[type(wide)](narrow, wide)
    same = narrow.criterion == wide.criterion and narrow.criterion in _ANY_OF
    return same and set(narrow.wanted) <= set(wide.wanted)


def _ports(narrow: PortIs, wide: PortIs) -> bool:
    return all(
        any(low <= first and last <= high for low, high in wide.ranges) for first, last in narrow.ranges
    )


def _hosts(narrow: HostIs, wide: HostIs) -> bool:
    return (
        all(not wide.domains.isdisjoint(parents(name)) for name in narrow.domains)
        and all(_has_host(wide, name, subdomains=False) for name in narrow.exact)
        and _ranges(narrow.networks, wide.networks)
    )


def _has_host(wide: HostIs, name: str, *, subdomains: bool) -> bool:
    return not wide.domains.isdisjoint(parents(name)) or (not subdomains and name in wide.exact)


def _ranges(narrow: Ranges, wide: Ranges) -> bool:
    return all(
        wide.holds((version, first)) and _end(wide, family, first) >= last
        for family, version in enumerate((4, 6))
        for first, last in zip(narrow.starts[family], narrow.ends[family], strict=True)
    )


def _end(wide: Ranges, family: int, first: int) -> int:
    """Return where the range ends that `first` is in."""
    return next(end for end in wide.ends[family] if end >= first)


_WITHIN: dict[type, Callable[[Any, Any], bool]] = {
    HostIs: _hosts,
    UrlIs: lambda narrow, wide: set(narrow.wanted) <= set(wide.wanted),
    MethodIs: lambda narrow, wide: narrow.methods <= wide.methods,
    SchemeIs: lambda narrow, wide: narrow.schemes <= wide.schemes,
    PortIs: _ports,
    ClientIs: lambda narrow, wide: _ranges(narrow.networks, wide.networks),
}
