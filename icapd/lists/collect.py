"""From entries to the parts of an index, in memory that does not grow with the lists.

Every key goes to the trie that its last two labels choose. With more than one trie the keys
wait in files and each trie is built when its turn comes.
"""

from __future__ import annotations

import array
import hashlib
from typing import TYPE_CHECKING

import marisa_trie

from icapd.lists.entry import FIELD
from icapd.lists.index import AS_WRITTEN, EXACT, SOME_URL, key_of, shard_of, url_host, url_key
from icapd.lists.tables import flatten, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

# A trie of one level is half as large again as the default of three and answers a fifth sooner.
_FAST = {
    "num_tries": 1,
    "cache_size": marisa_trie.HUGE_CACHE,
    "order": marisa_trie.WEIGHT_ORDER,
}
_SPOOLED = 100_000  # keys of one trie that wait in memory
_WIDE = 65_535
_DIGEST = 1 << 256


class Collector:
    """Collects the entries of `lists` lists. `mask` is a bit for each list an entry is in."""

    def __init__(self, lists: int, tries: int = 1, scratch: Path | None = None) -> None:
        if tries > 1 and scratch is None:
            raise ValueError("several tries need a place to wait in")
        self.lists = lists
        self.tries = tries
        self._scratch = scratch
        self._keys: list[dict[str, int]] = [{} for _ in range(tries)]
        self._ranges: dict[str, int] = {}
        self._digests: dict[str, int] = {}
        self._names: dict[str, str] = {}  # of digests
        self._expressions: dict[str, int] = {}
        self._numbers: dict[int, int] = {0: 0}
        self._members: dict[int, tuple[int, ...]] = {}
        self._has_urls = False
        self.entries = [0] * lists
        self._sums = [0] * lists

    def add(self, mask: int, kind: str, value: str) -> None:
        """Add one entry to the lists of `mask`."""
        if kind == "name":
            self._key(key_of(value), mask)
        elif kind == "url":
            self._url(value, mask)
        elif kind == "spelling":
            host, tail = _url_parts(value)
            self._key(host + tail.lower(), mask)
        elif kind == "exact":
            self._key(key_of(value) + EXACT, mask)
        elif kind == "except":
            self._key(key_of(value), mask << self.lists)
        elif kind in {"md5", "sha256"}:
            digest, _, name = value.partition(FIELD)
            self._digests[digest] = self._digests.get(digest, 0) | mask
            if name:
                self._names.setdefault(digest, name)
        else:
            table = self._ranges if kind == "range" else self._expressions
            table[value] = table.get(value, 0) | mask

    def _url(self, value: str, mask: int) -> None:
        self._has_urls = True
        filed, tail = _url_parts(value)
        self._key(filed + tail.lower(), mask)
        self._key(filed + AS_WRITTEN + tail, mask)
        self._key(filed + SOME_URL, mask)

    def _key(self, key: str, mask: int) -> None:
        at = shard_of(key, self.tries) if self.tries > 1 else 0
        keys = self._keys[at]
        keys[key] = keys.get(key, 0) | mask
        if self.tries > 1 and len(keys) >= _SPOOLED:
            self._spool(at)

    def _spool(self, at: int) -> None:
        assert self._scratch is not None  # noqa: S101  (held by __init__)
        with (self._scratch / f"spool{at}").open("a", encoding="utf-8", newline="\n") as stream:
            stream.writelines(f"{key}\n{mask:x}\n" for key, mask in self._keys[at].items())
        self._keys[at] = {}

    def _waiting(self, at: int) -> dict[str, int]:
        """Return all keys of one trie, each once, and forget them."""
        keys, self._keys[at] = self._keys[at], {}
        file = None if self._scratch is None else self._scratch / f"spool{at}"
        if file is not None and file.exists():
            with file.open(encoding="utf-8", newline="\n") as stream:
                for key in stream:
                    one = key[:-1]
                    keys[one] = keys.get(one, 0) | int(next(stream), 16)
            file.unlink()
        return keys

    def finish(self, write: Callable[[str, bytes], None]) -> dict[str, object]:
        """Write the parts of the index and return what opens them again (JSON values)."""
        numbers: dict[str, array.array[int]] = {}
        for at in range(self.tries):
            keys = self._waiting(at)
            trie = marisa_trie.Trie(keys, **_FAST)
            write(f"keys{at}.trie", trie.tobytes())
            row = numbers[f"keys{at}.numbers"] = array.array("I", bytes(4 * len(keys)))
            for key, mask in keys.items():
                row[trie[key]] = self._number(mask)
                self._count(key, mask)
            del keys, trie
        for part, rows in self._tables():
            write(part, pack([start for start, _ in rows], _WIDTHS[part]))
            numbers[f"{part}.numbers"] = array.array("I", [self._number(mask) for _, mask in rows])
        self._write_names(write)
        for kind, values in (("range", self._ranges), ("digest", self._digests), ("re", self._expressions)):
            for value, mask in values.items():
                self._count(f"{kind} {value} {self._names.get(value, '')}", mask)
        code = "H" if len(self._numbers) <= _WIDE else "I"
        for part, row in numbers.items():
            write(part, array.array(code, row).tobytes())
        return {
            "tries": self.tries,
            "has_urls": self._has_urls,
            "width": array.array(code).itemsize,
            "sets": [f"{mask:x}" for mask in self._numbers],
            "expressions": [[pattern, f"{mask:x}"] for pattern, mask in sorted(self._expressions.items())],
            "entries": self.entries,
            "digests": [f"{one:064x}" for one in self._sums],
        }

    def _tables(self) -> Iterator[tuple[str, list[tuple[int, int]]]]:
        families: Mapping[str, list[tuple[int, int, int]]] = {"4": [], "6": []}
        for text, mask in self._ranges.items():
            family, first, last = text.split()
            families[family].append((int(first), int(last), mask))
        for part, family, bits in (("ranges4", "4", 32), ("ranges6", "6", 128)):
            yield part, [(start, mask) for start, mask in flatten(families[family]) if start >> bits == 0]
        for part, width in (("digests16", 16), ("digests32", 32)):
            rows = [(int(d, 16), mask) for d, mask in self._digests.items() if len(d) == 2 * width]
            yield part, sorted(rows)

    def _write_names(self, write: Callable[[str, bytes], None]) -> None:
        """Write the names of digests, each once, and for each digest where its name begins."""
        text = bytearray(b"\0")
        places = {"": 0}
        for width in (16, 32):
            starts = array.array("I", bytes(0))
            for digest in sorted(digest for digest in self._digests if len(digest) == 2 * width):
                name = self._names.get(digest, "")
                if name not in places:
                    places[name] = len(text)
                    text += name.encode() + b"\0"
                starts.append(places[name])
            write(f"digests{width}.names", starts.tobytes())
        write("names", bytes(text))

    def _number(self, mask: int) -> int:
        return self._numbers.setdefault(mask, len(self._numbers))

    def _count(self, key: str, mask: int) -> None:
        """Count an entry once for each list, and add its digest to theirs: in any order, the same sum.

        What follows from other keys of the same URL is left out.
        """
        kind = key.find("/")
        if key.endswith(SOME_URL) or (kind >= 0 and AS_WRITTEN not in key[:kind]):
            return
        members = self._members.get(mask)
        if members is None:
            bits = range(2 * self.lists)
            members = self._members[mask] = tuple(bit for bit in bits if mask >> bit & 1)
        one = int.from_bytes(hashlib.sha256(key.encode()).digest(), "big")
        for bit in members:
            if bit < self.lists:
                self.entries[bit] += 1
                self._sums[bit] = (self._sums[bit] + one) % _DIGEST
            else:
                bit -= self.lists  # noqa: PLW2901
                self._sums[bit] = (self._sums[bit] + 3 * one) % _DIGEST


def _url_parts(value: str) -> tuple[str, str]:
    host, path, *query = value.split(FIELD)
    return key_of(url_host(host)), url_key(path, query[0] if query else None)


_WIDTHS = {"ranges4": 4, "ranges6": 16, "digests16": 16, "digests32": 32}
