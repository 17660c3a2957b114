"""The index: which rules could match a transaction, found without asking the others.

A rule is filed under the keys of one of its criteria (every criterion must hold, so one
suffices); a rule without such a criterion is a candidate always. What one host, user or
client leads to is remembered, since traffic repeats them; paths and regexes are looked up
for each URL, all regexes in one scan.
The index only leaves out rules that are certainly false: the candidates, in order, give
the same first match as all rules from top to bottom.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, TypeVar

from icapd.accounts import user_forms
from icapd.http import TUNNEL_METHODS, is_address
from icapd.policy.addresses import address_number, embedded_addresses
from icapd.policy.facts import overriding_methods
from icapd.policy.homograph import skeleton
from icapd.policy.match import ClientIs, HostIs, parents
from icapd.policy.paths import path_key
from icapd.policy.who import group_forms
from icapd.transaction import Point

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from icapd.policy.addresses import Ranges
    from icapd.policy.facts import Directory, Facts
    from icapd.policy.match import Key
    from icapd.policy.rules import Rule
    from icapd.transaction import Transaction

Numbers = tuple[int, ...]
MAX_REMEMBERED = 16_384  # hosts, about 150 bytes each
_BY_HOST = ("name", "skeleton", "list")
_BY_REQUEST = ("user", "group", "client", "workspace", "port", "method", "direction")
_BY_URL = ("path", "regex")
# Most telling first; what is looked up for each URL anew comes after what is remembered.
_ORDER = (*_BY_HOST, "user", "group", "client", "workspace", "path", "regex", "port", "method", "direction")


class AddressMap:
    """Addresses to the rules that name them: bisection over all the ranges' borders."""

    def __init__(self, rules: Iterable[tuple[int, Ranges]]) -> None:
        borders: dict[tuple[int, int], tuple[set[int], set[int]]] = {}
        for number, networks in rules:
            for family, version in enumerate((4, 6)):
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
        """Return the rules whose ranges hold (version, number)."""
        at = bisect_right(self.starts, address) - 1
        return self.rules[at] if at >= 0 else ()


class Index:
    """Rules by what they ask about; `candidates` is the only question."""

    def __init__(self, rules: Sequence[Rule], lists: Directory) -> None:
        self._lists = lists
        files: dict[str, dict[str, list[int]]] = {name: {} for name in (*_ORDER, "address")}
        always: list[int] = []
        clients: list[tuple[int, Ranges]] = []
        addresses: list[tuple[int, Ranges]] = []
        for number, rule in enumerate(rules):
            keys = _best_keys(rule)
            if keys is None:
                always.append(number)
            for dimension, value in keys or ():
                files[dimension].setdefault(value, []).append(number)
            for matcher in rule.when:
                if isinstance(matcher, ClientIs) and keys == matcher.keys():
                    clients.append((number, matcher.networks))
                elif isinstance(matcher, HostIs) and keys == matcher.keys():
                    addresses.append((number, matcher.networks))
        self._files = {
            name: {value: tuple(numbers) for value, numbers in file.items()} for name, file in files.items()
        }
        self._all_of = {
            name: tuple(sorted({n for numbers in file.values() for n in numbers}))
            for name, file in files.items()
        }
        self._always = tuple(always)
        self._methods, self._ports = self._files["method"], self._files["port"]
        self._users, self._clients = self._files["user"], AddressMap(clients) if clients else None
        self._groups, self._paths, self._regexes = (self._files[name] for name in ("group", *_BY_URL))
        self._directions, self._workspaces = self._files["direction"], self._files["workspace"]
        self._pathless = tuple(sorted((*self._all_of["path"], *self._all_of["regex"])))  # filed nowhere else
        self._depth = max((key.count("/") for key in self._paths), default=0)
        self._exact = frozenset(n for n in self._all_of["regex"] if rules[n].exempts)
        self._addresses = AddressMap(addresses)
        self._by_request = any(self._files[name] for name in _BY_REQUEST)
        self.needs_facts = any(self._files[name] for name in (*_BY_URL, "workspace"))
        self._hosts_seen: dict[str, Numbers] = {}
        self._addresses_seen: dict[str, Numbers] = {}
        self._users_seen: dict[str | None, Numbers] = {}
        self._clients_seen: dict[str | None, Numbers] = {}

    def ignores(self, host: str, addresses: tuple[str, ...]) -> bool:
        """Tell whether there are no candidates for `host`, whatever else is known of the message."""
        known = self._hosts_seen.get(host)
        if self._by_request or (self._of_name(host) if known is None else known):
            return False
        return not addresses or not self._of_addresses(addresses)

    def of_host(self, host: str) -> Numbers | None:
        """Return the candidates for `host`, its addresses unknown; None if more than the host counts."""
        if self._by_request or self.needs_facts:
            return None
        return self._of_name(host)

    def candidates(self, tx: Transaction, names: tuple[str, ...], facts: Facts | None = None) -> Numbers:
        """Return the numbers of the rules that are not certainly false, ascending.

        `facts` are needed where `needs_facts` is set.
        """
        if len(names) == 1:
            known = self._hosts_seen.get(names[0])
            found = self._of_name(names[0]) if known is None else known
        else:
            found = self._of_names(names)
        if self._by_request or facts is not None or tx.addresses:
            more = self._of_request(tx) if self._by_request else ()
            if facts is not None and self.needs_facts:
                more += self._of_url(facts)
            if tx.addresses:
                more += self._of_addresses(tx.addresses)
            if more:
                found = tuple(sorted({*found, *more}))
            if self._pathless and facts is not None and facts.path_unknown:
                return tuple(sorted((*self._pathless, *found))) if found else self._pathless
        return found

    def _of_names(self, names: tuple[str, ...]) -> Numbers:
        if not names:  # every rule on names is unknown
            parts = (self._always, *(self._all_of[name] for name in (*_BY_HOST, "address")))
            return tuple(sorted({number for part in parts for number in part}))
        return tuple(sorted({number for name in names for number in self._of_name(name)}))

    def _of_name(self, name: str) -> Numbers:
        seen = self._hosts_seen.get(name)
        return _remember(self._hosts_seen, name, self._find(name)) if seen is None else seen

    def _find(self, name: str) -> Numbers:
        found = set(self._always)
        by_name, by_list, by_skeleton = (self._files[name] for name in ("name", "list", "skeleton"))
        for host in (name, *embedded_addresses(name)):
            if by_list:
                for member in (*self._lists.lookup(host), *self._lists.may_hold_url(host)):
                    found.update(by_list.get(member, ()))
            if is_address(host):
                found.update(by_name.get(host, ()))  # a URL's host
                found.update(self._addresses.find(address_number(host) or (4, 0)))
                continue
            for parent in parents(host):
                found.update(by_name.get(parent, ()))
                if by_skeleton:
                    found.update(by_skeleton.get(skeleton(parent), ()))
        return tuple(sorted(found))

    def _of_addresses(self, addresses: tuple[str, ...]) -> Numbers:
        found: Numbers = ()
        for text in addresses:
            known = self._addresses_seen.get(text)
            found += self._of_address(text) if known is None else known
        return found

    def _of_address(self, text: str) -> Numbers:
        address = address_number(text)
        found = () if address is None else self._addresses.find(address)
        for member in self._lists.lookup_address(text) if self._files["list"] else ():
            found += self._files["list"].get(member, ())
        return _remember(self._addresses_seen, text, found)

    def _of_url(self, facts: Facts) -> Numbers:
        """Return the rules filed under what changes with each URL, and the workspace's."""
        found: Numbers = ()
        if self._workspaces and facts.workspace is not None:
            found = self._workspaces.get(facts.workspace, ())
        if facts.path_unknown:  # those on paths are `_pathless`
            return found
        if self._paths:
            for path in facts.spellings:
                found += self._of_path(path_key(path))
        if self._regexes:
            for pattern in facts.loose_regexes:
                found += tuple(n for n in self._regexes.get(pattern, ()) if n not in self._exact)
            for pattern in facts.exact_regexes if self._exact else ():
                found += tuple(n for n in self._regexes.get(pattern, ()) if n in self._exact)
        return found

    def _of_path(self, path: str) -> Numbers:
        """Return the rules filed under a path in folded case or above it."""
        found = self._paths.get("", ())
        at = 0
        for _ in range(self._depth):
            at = path.find("/", at + 1)
            found += self._paths.get(path if at < 0 else path[:at], ())
            if at < 0:
                break
        return found

    def _of_request(self, tx: Transaction) -> Numbers:
        """Return the rules filed under what is no name. At the TLS step much is unknown yet."""
        if tx.request is None or tx.point is Point.TLS:
            return self._of_early(tx)
        more: Numbers = ()
        if self._methods:
            method = tx.request.method.upper()
            more = self._methods.get("CONNECT" if method in TUNNEL_METHODS else method, ())
            for other in overriding_methods(tx.request):
                more += self._methods.get(other, ())
        if self._ports:
            more += self._ports.get(str(tx.request.url.port), ())
        if self._directions:
            more += self._directions.get("response" if tx.point is Point.RESPMOD else "request", ())
        for group in (tx.client.groups or ()) if self._groups else ():
            more += self._of_group(group)
        if self._users:
            user = tx.client.user
            known = self._users_seen.get(user)
            more += _remember(self._users_seen, user, self._of_user(user)) if known is None else known
        if self._clients is not None:
            client = tx.client.address
            known = self._clients_seen.get(client)
            more += _remember(self._clients_seen, client, self._of_client(client)) if known is None else known
        return more

    def _of_early(self, tx: Transaction) -> Numbers:
        user, client, groups = tx.client.user, tx.client.address, tx.client.groups
        return (
            *self._all_of["method"],
            *self._all_of["port"],
            *self._all_of["direction"],
            *(self._of_user(user) if user else self._all_of["user"]),
            *(self._all_of["group"] if groups is None else [n for g in groups for n in self._of_group(g)]),
            *(self._of_client(client) if address_number(client or "") else self._all_of["client"]),
        )

    def _of_group(self, group: str) -> Numbers:
        found = self._groups.get("*", ())
        for form in group_forms(group):
            found += self._groups.get(form, ())
        return found

    def _of_user(self, user: str | None) -> Numbers:
        found = list(self._users.get("*", ())) if user else []
        for form in user_forms(user) if user else ():
            found.extend(self._users.get(form, ()))
        return tuple(found)

    def _of_client(self, client: str | None) -> Numbers:
        address = address_number(client or "")
        return self._clients.find(address) if self._clients is not None and address is not None else ()


_K = TypeVar("_K")


def _remember(memory: dict[_K, Numbers], key: _K, value: Numbers) -> Numbers:
    """Keep one answer; a full memory is emptied, so a flood of names costs time, not space."""
    if len(memory) >= MAX_REMEMBERED:
        memory.clear()
    memory[key] = value
    return value


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
