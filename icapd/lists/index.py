"""The index of all lists: names, URLs, addresses, digests and expressions; exact, mmapped.

Names and URLs are keys of one trie. A name's key is its labels in reverse, each with a dot,
so that a parent domain is a prefix: "www.a.example" -> "example.a.www.". Behind it:

    ""        the name and what is below it         "="   the name alone
    "/p/q/"   a URL below that path, lower case     "|/P/q/"  the same as written
    "~"       some list has a URL of this host

The trie is marisa-trie's; big lists are split into several by the last two labels, which
a name shares with its parents, so that one trie answers a lookup and each is built in little
memory. A number for each key leads to its set: the lists it is in, and the lists that
make an exception of it.
"""

from __future__ import annotations

import ipaddress
import re
import zlib
from typing import TYPE_CHECKING

from icapd.http import is_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import marisa_trie

    from icapd.lists.search import Expressions
    from icapd.lists.tables import DigestTable, RangeTable

EXACT, SOME_URL, AS_WRITTEN = "=", "~", "|"
_WWW = re.compile(r"www[0-9]{0,2}\.(?=[^.]+\.)")
_CONTROL = re.compile(r"[\x00-\x1f]")
_QUERY = "\x1e?"

Sets = tuple[tuple[tuple[str, ...], frozenset[str]], ...]  # (lists it is in, lists that except it)


def key_of(name: str) -> str:
    """Return the key of a host in normal form; an IPv6 address is one label."""
    return ".".join(name.split(".")[::-1]) + "."


def shard_of(key: str, shards: int) -> int:
    """Return the trie (of a power of two) that holds `key`, its parents and its URLs."""
    first = key.find(".") + 1
    end = key.find(".", first)
    return zlib.crc32(key[: end + 1 or first].encode()) & (shards - 1)


def url_host(host: str) -> str:
    """Return the host under which a URL is filed: without www, as squidGuard does."""
    return _WWW.sub("", host, count=1) if host.startswith("www") else host


def url_key(path: str, query: str | None = None) -> str:
    """Return the part of a URL's key behind its host; with a query it holds for that query alone."""
    text = _CONTROL.sub(" ", path.rstrip("/"))
    return f"{text}/" if query is None else f"{text}{_QUERY}{_CONTROL.sub(' ', query)}\x1e"


class ListIndex:
    """Which of `lists` hold something. Immutable; its parts may be maps of files."""

    def __init__(
        self,
        lists: tuple[str, ...],
        *,
        sets: Sets,
        tries: tuple[tuple[marisa_trie.Trie, memoryview], ...],
        ranges: tuple[RangeTable, RangeTable],
        digests: Mapping[int, DigestTable],
        expressions: Expressions,
        has_urls: bool,
    ) -> None:
        self.lists = lists
        self.size = sum(len(trie) for trie, _ in tries)
        self._sets = sets
        self._tries = tries
        self._one = tries[0] if len(tries) == 1 else None
        self._ranges = ranges
        self._digests = digests
        self._expressions = expressions
        self._has_urls = has_urls
        self._searched = tuple(name for name in lists if name in expressions.lists)

    def lookup(self, host: str) -> tuple[str, ...]:
        """Return the lists that hold `host` (normal form) or a parent of it, in `lists`' order.

        For an address: the lists that hold it or a network around it.
        """
        if (host[-1:] <= "9" or ":" in host) and is_address(host):
            return self.lookup_address(host)
        labels = host.split(".")
        labels.reverse()
        labels.append(EXACT)
        key = ".".join(labels)
        trie, numbers = self._one or self._tries[shard_of(key, len(self._tries))]
        found: list[int] = [numbers[number] for _, number in trie.iter_prefixes_with_ids(key)]
        if not found:
            return ()
        if len(found) == 1:
            return self._sets[found[0]][0]
        return self._union(found)

    def _union(self, found: Iterable[int]) -> tuple[str, ...]:
        """Return the lists of several sets, less those that except one of them."""
        sets = [self._sets[number] for number in found]
        names = {name for held, _ in sets for name in held}
        for _, excepted in sets:
            names -= excepted
        return tuple(name for name in self.lists if name in names)

    def lookup_url(
        self, host: str, paths: Sequence[str], query: str | None = None, *, strict: bool = False
    ) -> tuple[str, ...]:
        """Return the lists that hold a URL above one of `paths` (spellings of one path) on `host`.

        Generously in any case of letters; `strict`: as written, and every spelling must be
        held by the list. Expressions are held against host/path?query.
        """
        if not paths or not (self._has_urls or self._expressions.size):
            return ()
        each = [self._url_lists(host, path, query, strict=strict) for path in paths]
        names = set.intersection(*each) if strict else set.union(*each)
        return tuple(name for name in self.lists if name in names)

    def _url_lists(self, host: str, path: str, query: str | None, *, strict: bool) -> set[str]:
        filed = key_of(url_host(host))
        start = filed + AS_WRITTEN if strict else filed
        trie, numbers = self._one or self._tries[shard_of(filed, len(self._tries))]
        tails = (url_key(path),) if query is None else (url_key(path), url_key(path, query))
        names: set[str] = set()
        excepted: set[str] = set()
        for tail in tails:
            probe = start + (tail if strict else tail.lower())
            for key, number in trie.iter_prefixes_with_ids(probe):
                held, exceptions = self._sets[numbers[number]]
                excepted |= exceptions
                if len(key) > len(start):
                    names.update(held)
        if self._expressions.size:
            names |= self._expressions.find(host + path + ("" if query is None else "?" + query))
        return names - excepted

    def may_hold_url(self, host: str) -> tuple[str, ...]:
        """Return the lists that could hold a URL of `host`, for where its path is not known yet."""
        if not self._has_urls:
            return self._searched
        key = key_of(url_host(host)) + SOME_URL
        trie, numbers = self._one or self._tries[shard_of(key, len(self._tries))]
        number = trie.get(key)
        held = () if number is None else self._sets[numbers[number]][0]
        if not self._searched:
            return held
        return tuple(name for name in self.lists if name in held or name in self._searched)

    def lookup_address(self, address: str) -> tuple[str, ...]:
        """Return the lists with a network around `address` (text); IPv4-mapped IPv6 is IPv4."""
        try:
            one = ipaddress.ip_address(address)
        except ValueError:
            return ()
        if isinstance(one, ipaddress.IPv6Address):
            one = one.ipv4_mapped or one
        number = self._ranges[0 if one.version == 4 else 1].find(int(one))  # noqa: PLR2004
        return self._sets[number][0]

    def lookup_hash(self, digest: str) -> tuple[str, ...]:
        """Return the lists that hold an MD5 or SHA-256 digest (hexadecimal, any case)."""
        found = self._digest(digest)
        return () if found is None else self._sets[found[0]][0]

    def hash_name(self, digest: str) -> str:
        """Return what the lists call a digest, or ""."""
        found = self._digest(digest)
        return "" if found is None else found[1]

    def _digest(self, digest: str) -> tuple[int, str] | None:
        try:
            raw = bytes.fromhex(digest)
        except ValueError:
            return None
        table = self._digests.get(len(raw))
        return None if table is None else table.find(raw)
