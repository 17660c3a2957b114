"""Where an entry stands: the lists' files read again, for a person who asks why a name is listed."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import re2

from icapd.http import is_address
from icapd.lists.build import open_source
from icapd.lists.entry import FIELD
from icapd.lists.index import key_of, url_host, url_key
from icapd.lists.search import MAX_SET, expression_options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from icapd.lists.spec import ListSpec


@dataclass(frozen=True, slots=True)
class Found:
    """One entry: its list, the file and line (1-based) it stands on, its kind and what it says."""

    list: str
    file: Path
    line: int
    kind: str
    entry: str


@dataclass(frozen=True)
class Question:
    """What is looked for: a host in normal form, with `paths` (spellings of one) a URL; or a digest."""

    host: str = ""
    paths: tuple[str, ...] = ()
    query: str | None = None
    digest: str = ""

    @cached_property
    def _probes(self) -> tuple[str, ...]:
        start = key_of(url_host(self.host))
        tails = [url_key(path) for path in self.paths]
        if self.query is not None:
            tails += [url_key(path, self.query) for path in self.paths]
        return tuple(start + tail.lower() for tail in tails)

    @cached_property
    def _address(self) -> tuple[int, int] | None:
        address = ipaddress.ip_address(self.host) if self.host and is_address(self.host) else None
        return None if address is None else (address.version, int(address))

    def answers(self, kind: str, value: str) -> bool:
        """Tell whether an entry is about what is looked for."""
        if kind in {"name", "except"}:
            return self.host == value or self.host.endswith("." + value)
        if kind == "exact":
            return self.host == value
        if kind in {"md5", "sha256"}:
            return self.digest == value.partition(FIELD)[0]
        if kind == "range":
            return self._in_range(value)
        if kind in {"url", "spelling"}:
            host, path, *query = value.split(FIELD)
            key = key_of(url_host(host)) + url_key(path, query[0] if query else None).lower()
            return any(probe.startswith(key) for probe in self._probes)
        return kind == "expression" and self._is_found(value)

    def _in_range(self, value: str) -> bool:
        family, first, last = map(int, value.split())
        address = self._address
        return address is not None and address[0] == family and first <= address[1] <= last

    def _is_found(self, expression: str) -> bool:
        tail = "" if self.query is None else f"?{self.query}"
        compiled = re2.compile(expression, expression_options(MAX_SET))
        return any(compiled.search(self.host + path + tail) for path in self.paths)


def find_entries(specs: tuple[ListSpec, ...], question: Question) -> Iterator[Found]:
    """Yield every entry of `specs` that answers `question`. Raises OSError and ConfigError."""
    for spec in specs:
        for source in spec.sources:
            with open_source(source) as (_, items):
                for line, kind, value in items:
                    if question.answers(kind, value):
                        yield Found(spec.name, source.path, line, kind, entry_text(kind, value))


def entry_text(kind: str, value: str) -> str:
    """Return an entry as a person would write it."""
    if kind == "range":
        family, first, last = map(int, value.split())
        address = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address  # noqa: PLR2004
        low, high = address(first), address(last)
        if low == high:
            return str(low)
        networks = list(ipaddress.summarize_address_range(low, high))
        return str(networks[0]) if len(networks) == 1 else f"{low}-{high}"
    if kind in {"md5", "sha256"}:
        return value.replace(FIELD, " ")
    if FIELD in value:
        host, path, *query = value.split(FIELD)
        return f"{host}{path}" + (f"?{query[0]}" if query else "")
    return value
