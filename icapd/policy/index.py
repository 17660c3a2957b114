"""The index: which rules could match a transaction, found without asking the others.

A rule is filed under the keys of one of its criteria (every criterion must hold, so one
suffices): names, lists, users, clients, ports or methods; a rule without such a criterion
is a candidate always. What one host leads to is remembered, since traffic repeats hosts.
The index only leaves out rules that are certainly false: the candidates, in order, give
the same first match as all rules from top to bottom.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from icapd.http import TUNNEL_METHODS
from icapd.policy.addresses import address_number, embedded_addresses
from icapd.policy.match import ClientIs, parents, user_forms
from icapd.transaction import Point

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from icapd.policy.facts import Directory
    from icapd.policy.match import Key
    from icapd.policy.model import Rule
    from icapd.transaction import Transaction

Numbers = tuple[int, ...]
MAX_REMEMBERED = 16_384  # hosts, about 150 bytes each
_ORDER = ("name", "list", "user", "client", "port", "method")  # most telling first


class ClientMap:
    """Addresses to the rules that name them: bisection over all the ranges' borders."""

    def __init__(self, rules: Iterable[tuple[int, ClientIs]]) -> None:
        borders: dict[tuple[int, int], tuple[set[int], set[int]]] = {}
        for number, matcher in rules:
            for family, version in enumerate((4, 6)):
                networks = matcher.networks
                for first, last in zip(networks.starts[family], networks.ends[family], strict=True):
                    borders.setdefault((version, first), (set(), set()))[0].add(number)
                    borders.setdefault((version, last + 1), (set(), set()))[1].add(number)
        self.starts: list[tuple[int, int]] = []
        self.rules: list[Numbers] = []
        active: set[int] = set()
        for start in sorted(borders):
            begin, end = borders[start]
            active = (active - end) | begin
            self.starts.append(start)
            self.rules.append(tuple(sorted(active)))

    def find(self, address: tuple[int, int]) -> Numbers:
        """Return the rules whose `client` holds (version, number)."""
        at = bisect_right(self.starts, address) - 1
        return self.rules[at] if at >= 0 else ()


class Index:
    """Rules by what they ask about; `candidates` is the only question."""

    def __init__(self, rules: Sequence[Rule], lists: Directory) -> None:
        self._lists = lists
        self._files: dict[str, dict[str, Numbers]] = {name: {} for name in (*_ORDER, "address")}
        always: list[int] = []
        clients: list[tuple[int, ClientIs]] = []
        filed: dict[Key, list[int]] = {}
        for number, rule in enumerate(rules):
            keys = _best_keys(rule)
            if keys is None:
                always.append(number)
            for key in keys or ():
                filed.setdefault(key, []).append(number)
            if keys and keys[0][0] == "client":
                clients.extend((number, m) for m in rule.when if isinstance(m, ClientIs))
        for (dimension, value), numbers in filed.items():
            self._files[dimension][value] = tuple(numbers)
        self._always = tuple(always)
        self._clients = ClientMap(clients) if clients else None
        self._whole = {
            dimension: tuple(sorted({n for numbers in file.values() for n in numbers}))
            for dimension, file in self._files.items()
        }
        self._by_request = any(self._files[name] for name in ("user", "client", "port", "method"))
        self._remembered: dict[str, Numbers] = {}

    def candidates(self, tx: Transaction, names: tuple[str, ...]) -> Numbers:
        """Return the numbers of the rules that are not certainly false, ascending."""
        if len(names) == 1:
            found = self._remembered.get(names[0])
            if found is None:
                found = self._remember(names[0])
        elif names:
            found = tuple(sorted({n for name in names for n in self._remember(name)}))
        else:  # no name is known: every rule on names is unknown
            unknown = (*self._always, *self._whole["name"], *self._whole["address"], *self._whole["list"])
            found = tuple(sorted(set(unknown)))
        if not self._by_request:
            return found
        more = self._of_request(tx)
        return tuple(sorted({*found, *more})) if more else found

    def _remember(self, name: str) -> Numbers:
        found = self._remembered.get(name)
        if found is None:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[name] = self._of_name(name)
        return found

    def _of_name(self, name: str) -> Numbers:
        found = set(self._always)
        by_name, by_list = self._files["name"], self._files["list"]
        for host in (name, *embedded_addresses(name)):
            for parent in parents(host):
                found.update(by_name.get(parent, ()))
            if address_number(host) is not None:
                found.update(self._whole["address"])
        if by_list:
            for member in self._lists.lookup(name):
                found.update(by_list.get(member, ()))
        return tuple(sorted(found))

    def _of_request(self, tx: Transaction) -> list[int]:
        more: list[int] = []
        files, whole = self._files, self._whole
        is_early = tx.point is Point.TLS
        if files["method"]:
            method = "CONNECT" if is_early else None
            if tx.request is not None:
                method = tx.request.method.upper()
                method = "CONNECT" if method in TUNNEL_METHODS else method
            more.extend(whole["method"] if method is None else files["method"].get(method, ()))
        if files["port"]:
            more.extend(
                whole["port"] if tx.request is None else files["port"].get(str(tx.request.url.port), ())
            )
        if files["user"]:
            more.extend(self._of_user(tx.client.user, whole["user"] if is_early else ()))
        if self._clients is not None:
            address = address_number(tx.client.address or "")
            if address is not None:
                more.extend(self._clients.find(address))
            elif is_early:
                more.extend(whole["client"])
        return more

    def _of_user(self, user: str | None, unknown: Numbers) -> Iterable[int]:
        if not user:
            return unknown
        file = self._files["user"]
        found = list(file.get("*", ()))
        for form in user_forms(user):
            found.extend(file.get(form, ()))
        return found


def _best_keys(rule: Rule) -> tuple[Key, ...] | None:
    best: tuple[Key, ...] | None = None
    rank = len(_ORDER)
    for matcher in rule.when:
        keys = matcher.keys()
        if keys:
            dimension = "name" if keys[0][0] == "address" else keys[0][0]
            if _ORDER.index(dimension) < rank:
                best, rank = keys, _ORDER.index(dimension)
    return best
