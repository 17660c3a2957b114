"""Names and URLs of a message in lists with `threat:`, before anything of its body is read.

Every name counts (CONNECT host, SNI, URL host, Host), every address behind one, every spelling of the path;
and at RESPMOD also where Location leads. Hosts of which no list of threats holds anything are remembered, so
that they cost one look into a dictionary.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from icapd.http import HeadError, RequestHead
from icapd.policy.addresses import embedded_addresses
from icapd.policy.facts import Facts, names_of
from icapd.transaction import Point, Transaction
from icapd.verdicts import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from icapd.lists import ListSet

BY = "urls"
MAX_QUIET = 50_000  # hosts remembered; then it begins anew
_ABSOLUTE = re.compile(r"(?:(https?|wss?|ftp):/*|//+)", re.IGNORECASE)
_PASSED_OVER = re.compile(r"[\t\r\n]")
_MAX_LOCATION = 8192  # characters; a browser follows no longer ones


@dataclass(frozen=True, slots=True)
class _Place:
    tx: Transaction
    names: tuple[str, ...]
    where: str


class UrlThreats:
    """Asks the lists of a policy that are threats; with none of them, `is_active` is False."""

    def __init__(self, lists: ListSet) -> None:
        self.is_active = bool(lists.threats)
        self._lists = lists
        self._quiet: set[str] = set()

    def find(self, tx: Transaction) -> tuple[Finding, ...]:
        """Return what the names and URLs of a message are, by the lists; an ill-formed target is nothing."""
        if not self.is_active:
            return ()
        try:
            names = names_of(tx)
        except HeadError:  # the policy refuses it
            return ()
        found: dict[Finding, None] = {}
        if tx.addresses or not self._are_quiet(names):
            found.update(dict.fromkeys(self._findings(tx, names, "")))
        if tx.response is not None and b"location" in tx.response.headers:
            for there in _destinations(tx):
                if not self._are_quiet(there.names):
                    found.update(dict.fromkeys(self._findings(there.tx, there.names, there.where)))
        return tuple(found)

    def _are_quiet(self, names: Iterable[str]) -> bool:
        """Whether no list of threats holds anything of these hosts; remembered where it is so."""
        for name in names:
            if name in self._quiet:
                continue
            if self._holds(name):
                return False
            if len(self._quiet) >= MAX_QUIET:
                self._quiet.clear()
            self._quiet.add(name)
        return True

    def _holds(self, name: str) -> bool:
        threats = self._lists.threats
        hosts = (name, *embedded_addresses(name))
        return any(
            not threats.keys().isdisjoint((*self._lists.lookup(host), *self._lists.may_hold_url(host)))
            for host in hosts
        )

    def _findings(self, tx: Transaction, names: tuple[str, ...], where: str) -> Iterator[Finding]:
        facts = Facts(tx, names, self._lists)
        listed = (each for found in facts.listed(strict=False) for each in found)
        for name in dict.fromkeys((*listed, *facts.listed_otherwise)):
            kind = self._lists.threats.get(name)
            if kind is not None:
                yield Finding(kind, threat_name(self._lists.categories.get(name, name)), BY, where)


def threat_name(text: str) -> str:
    """Return what a finding may be called: printable ASCII, at most 200 characters."""
    return "".join(each if " " <= each <= "~" else "?" for each in text)[:200]


def _destinations(tx: Transaction) -> Iterator[_Place]:
    """Yield where the response leads: each Location as a request of its own, its names in normal form."""
    assert tx.response is not None  # noqa: S101  # the only caller looked
    base = "" if tx.request is None else _url(tx.request)
    for value in tx.response.headers.get_all(b"location")[:8]:
        try:
            url = _joined(base, value.decode("latin-1")[:_MAX_LOCATION])
            head = RequestHead(f"GET {url} HTTP/1.1\r\n\r\n".encode("latin-1"))
            there = Transaction(Point.REQMOD, tx.client, head, now=tx.now)
            yield _Place(there, names_of(there), "Location")
        except ValueError:  # HeadError too: it leads nowhere that HTTP is spoken
            continue


def _joined(base: str, location: str) -> str:
    """Return where a browser goes from `base`: backslashes are slashes, and more than two of them are two.

    Source: WHATWG URL, basic URL parser; tabs and ends of lines are passed over.
    """
    text = _PASSED_OVER.sub("", location.replace("\\", "/")).strip().replace(" ", "%20")
    absolute = _ABSOLUTE.match(text)
    if absolute is None:
        return urljoin(base, text)
    scheme = absolute[1] or base.partition(":")[0]
    return f"{scheme}://{text[absolute.end() :]}"


def _url(request: RequestHead) -> str:
    try:
        return request.url.text if request.url.path is not None else ""
    except HeadError:
        return ""
