"""Criteria as the administrator writes them, into matchers. Every fault is a ValueError."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, TypeVar

from icapd.http import DEFAULT_PORTS, TargetError, is_address, normal_host, parse_target
from icapd.policy.addresses import Range, Ranges, read_addresses
from icapd.policy.facts import spellings
from icapd.policy.match import (
    ClientIs,
    HostIs,
    ListIs,
    MethodIs,
    PortIs,
    SchemeIs,
    UrlIs,
    UrlPattern,
    UserIs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from icapd.policy.match import Matcher

_T = TypeVar("_T")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PORTS = re.compile(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?")
_URL = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(\*\.)?([^/?#]+)([/?#].*)?", re.DOTALL)
_SUBNET = re.compile(r"[0-9A-Fa-f.:]+/\d{1,3}")
_MAX_PORT = 65535


class Faults(Exception):  # noqa: N818  (a collection, not one error)
    """Which values of a criterion are wrong: (index, message)."""

    def __init__(self, faults: list[tuple[int, str]]) -> None:
        super().__init__(faults)
        self.faults = faults


def compile_criterion(criterion: str, values: tuple[str, ...], lists: Collection[str]) -> Matcher:
    """Return the matcher of one criterion. Raises Faults, naming every wrong value."""
    if criterion == "list":
        _each(values, lambda value: _known_list(value, lists))
        return ListIs(values)
    if criterion not in _COMPILERS:
        raise Faults([(0, "is not part of this version of icapd yet")])
    return _COMPILERS[criterion](values)


def _each(values: Iterable[str], read: Callable[[str], _T]) -> list[_T]:
    """Read every value. Raises Faults with all that cannot be read."""
    out: list[_T] = []
    faults: list[tuple[int, str]] = []
    for index, value in enumerate(values):
        try:
            out.append(read(value))
        except (ValueError, TargetError) as error:
            faults.append((index, str(error)))
    if faults:
        raise Faults(faults)
    return out


def _known_list(name: str, lists: Collection[str]) -> str:
    if name not in lists:
        near = difflib.get_close_matches(name, lists, n=1)
        advice = f"did you mean {near[0]!r}?" if near else "it is not among `lists`"
        msg = f"unknown list {name!r}; {advice}"
        raise ValueError(msg)
    return name


def _hosts(values: tuple[str, ...]) -> HostIs:
    read = _each(values, _read_host)
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
    return UrlIs(values, tuple(_each(values, _read_url)))


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
    return MethodIs(values, frozenset(_each(values, _read_method)))


def _read_method(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        msg = f"{text!r} is no method"
        raise ValueError(msg)
    return text.upper()


def _ports(values: tuple[str, ...]) -> PortIs:
    return PortIs(values, tuple(_each(values, _read_ports)))


def _read_ports(text: str) -> tuple[int, int]:
    match = _PORTS.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match is not None else (0, 0)
    if not 0 < first <= last <= _MAX_PORT:
        msg = f"{text!r} is no port (1 to {_MAX_PORT}) or rising range of ports"
        raise ValueError(msg)
    return first, last


def _schemes(values: tuple[str, ...]) -> SchemeIs:
    return SchemeIs(values, frozenset(_each(values, _read_scheme)))


def _read_scheme(text: str) -> str:
    if text.lower() not in DEFAULT_PORTS:
        msg = f"{text!r} is none of {', '.join(DEFAULT_PORTS)}"
        raise ValueError(msg)
    return text.lower()


def _clients(values: tuple[str, ...]) -> ClientIs:
    return ClientIs(values, Ranges.of(_each(values, read_addresses)))


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
}
