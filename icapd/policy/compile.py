"""Criteria as the administrator writes them, into matchers. Every fault is a ValueError."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.http import DEFAULT_PORTS, is_address, normal_host, parse_target
from icapd.policy.addresses import Range, Ranges, read_addresses
from icapd.policy.compile_message import COMPILERS, near
from icapd.policy.facts import spellings
from icapd.policy.faults import each
from icapd.policy.listed import ListIs
from icapd.policy.match import (
    ClientIs,
    HostIs,
    MethodIs,
    PortIs,
    SchemeIs,
    UrlIs,
    UrlPattern,
    UserIs,
)
from icapd.policy.who import ProxyPortIs, WorkspaceIs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from icapd.policy.match import Matcher

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PORTS = re.compile(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?")
_URL = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(\*\.)?([^/?#]+)([/?#].*)?", re.DOTALL)
_SUBNET = re.compile(r"[0-9A-Fa-f.:]+/\d{1,3}")
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Catalog:
    """What criteria may name: lists with their categories, lists that hold digests, workspaces."""

    categories: Mapping[str, str]
    digests: frozenset[str] = frozenset()
    workspaces: tuple[str, ...] = ()


def compile_criterion(criterion: str, values: tuple[str, ...], known: Catalog | Collection[str]) -> Matcher:
    """Return the matcher of one criterion. Raises Faults, naming every wrong value.

    `known` may be names of lists alone.
    """
    catalog = known if isinstance(known, Catalog) else Catalog({name: name for name in known})
    if criterion == "list":
        each(values, lambda value: _known(value, catalog.categories, "list", "it is not among `lists`"))
        return _lists(values, values, catalog, "list")
    if criterion == "category":
        return _categories(values, catalog)
    if criterion == "workspace":
        advice = "it is not among `workspaces`"
        return WorkspaceIs(
            tuple(each(values, lambda value: _known(value, catalog.workspaces, "workspace", advice)))
        )
    return (_COMPILERS.get(criterion) or COMPILERS[criterion])(values)


def _known(name: str, known: Collection[str], what: str, otherwise: str) -> str:
    if name not in known:
        msg = f"unknown {what} {name!r}; {near(name, known, otherwise)}"
        raise ValueError(msg)
    return name


def _lists(written: tuple[str, ...], names: tuple[str, ...], catalog: Catalog, criterion: str) -> ListIs:
    shown = tuple(catalog.categories[name] for name in names)
    return ListIs(written, names, shown, not catalog.digests.isdisjoint(names), criterion)


def _categories(values: tuple[str, ...], catalog: Catalog) -> ListIs:
    """Take a category's lists: those that have it, or the list of that name."""
    by_category: dict[str, list[str]] = {}
    for name, category in catalog.categories.items():
        for key in {name.casefold(), category.casefold()}:
            by_category.setdefault(key, []).append(name)
    shown = (*catalog.categories.values(), *catalog.categories)
    advice = "no list is of it: see `lists`"

    def read(value: str) -> list[str]:
        if value.casefold() not in by_category:
            _known(value, shown, "category", advice)
        return by_category[value.casefold()]

    names = dict.fromkeys(name for found in each(values, read) for name in found)
    return _lists(values, tuple(names), catalog, "category")


def _hosts(values: tuple[str, ...]) -> HostIs:
    read = each(values, _read_host)
    return HostIs(
        values,
        frozenset(one for one in read if isinstance(one, str) and not one.startswith("=")),
        frozenset(one[1:] for one in read if isinstance(one, str) and one.startswith("=")),
        Ranges.of([one for one in read if not isinstance(one, str)]),
    )


def _read_host(text: str) -> str | Range:
    """Return a name ("=name" is exact), or the range of an address or network."""
    if _SUBNET.fullmatch(text):
        return read_addresses(text)
    exact = "=" if text.startswith("=") else ""
    name = normal_host(text.removeprefix("=").removeprefix("*.").removeprefix("."))
    if is_address(name):
        return read_addresses(name)
    return exact + name


def _urls(values: tuple[str, ...]) -> UrlIs:
    return UrlIs(values, tuple(each(values, _read_url)))


def _read_url(text: str) -> UrlPattern:
    """Read [=][scheme://][*.]host[:port][/path][?query]; "=" is this URL, not what is below it."""
    match = _URL.fullmatch(text.removeprefix("="))
    if match is None or (match[1] is not None and match[1].lower() not in DEFAULT_PORTS):
        msg = f"{text!r} is no URL of {', '.join(DEFAULT_PORTS)}"
        raise ValueError(msg)
    scheme, star, authority, rest = match.groups()
    if "@" in authority or "#" in (rest or "") or authority.endswith(":"):
        msg = f"{text!r}: a URL here has a host, no user and no fragment"
        raise ValueError(msg)
    wire = f"{scheme or 'http'}://{authority}{rest or ''}".encode().decode("latin-1")
    target = parse_target("GET", wire)
    has_port = re.search(r":\d+$", authority) is not None
    path = target.path or "/"
    return UrlPattern(
        scheme.lower() if scheme else None,
        target.host,
        star is not None,
        target.port if has_port else None,
        path,
        target.query,
        text.startswith("="),
        spellings(path),
    )


def _methods(values: tuple[str, ...]) -> MethodIs:
    return MethodIs(values, frozenset(each(values, _read_method)))


def _read_method(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        msg = f"{text!r} is no method"
        raise ValueError(msg)
    return text.upper()


def _ports(values: tuple[str, ...]) -> PortIs:
    return PortIs(values, tuple(each(values, _read_ports)))


def _read_ports(text: str) -> tuple[int, int]:
    match = _PORTS.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match is not None else (0, 0)
    if not 0 < first <= last <= _MAX_PORT:
        msg = f"{text!r} is no port (1 to {_MAX_PORT}) or rising range of ports"
        raise ValueError(msg)
    return first, last


def _proxy_ports(values: tuple[str, ...]) -> ProxyPortIs:
    return ProxyPortIs(values, tuple(each(values, _read_ports)))


def _schemes(values: tuple[str, ...]) -> SchemeIs:
    return SchemeIs(values, frozenset(each(values, _read_scheme)))


def _read_scheme(text: str) -> str:
    if text.lower() not in DEFAULT_PORTS:
        msg = f"{text!r} is none of {', '.join(DEFAULT_PORTS)}"
        raise ValueError(msg)
    return text.lower()


def _clients(values: tuple[str, ...]) -> ClientIs:
    return ClientIs(values, Ranges.of(each(values, read_addresses)))


def _users(values: tuple[str, ...]) -> UserIs:
    folded = [value.casefold() for value in values]
    return UserIs(
        values,
        frozenset(name for name in folded if "*" not in name),
        tuple(tuple(name.split("*")) for name in folded if "*" in name),
    )


_COMPILERS: dict[str, Callable[[tuple[str, ...]], Matcher]] = {
    "host": _hosts,
    "url": _urls,
    "method": _methods,
    "port": _ports,
    "scheme": _schemes,
    "client": _clients,
    "user": _users,
    "proxy_port": _proxy_ports,
}
