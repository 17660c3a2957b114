"""The index of names: one trie for all lists, exact, mmapped.

Key: the labels in reverse, each with a dot, so that a parent domain is a prefix
("www.a.example" -> "example.a.www."); an address is "=1.2.3.4=". Each key's number
leads to the set of lists it is in. The trie is marisa-trie's: 1 M names are 3 to 5 MB, a
host is looked up in one call for itself and all its parents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.http import is_address

if TYPE_CHECKING:
    import array
    from pathlib import Path

    import marisa_trie

NAMES = "names.trie"
GROUPS = "groups.bin"


def key_of(name: str) -> str:
    """Return the key of a name or address in normal form."""
    if is_address(name):
        return f"={name}="  # closed, or 1.2.3.4 would be a prefix of 1.2.3.40
    return ".".join(name.split(".")[::-1]) + "."


class ListIndex:
    """Which of `lists` hold a host. Immutable; its parts may be maps of files."""

    def __init__(
        self,
        lists: tuple[str, ...],
        trie: marisa_trie.Trie,
        groups: array.array[int] | memoryview,
        sets: tuple[tuple[str, ...], ...],
    ) -> None:
        self.lists = lists
        self.size = len(trie)
        self._trie = trie
        self._groups = groups
        self._sets = sets

    def lookup(self, host: str) -> tuple[str, ...]:
        """Return the lists that hold `host` (normal form) or a parent of it, in `lists`' order."""
        found = self._trie.iter_prefixes_with_ids(key_of(host))
        groups = {self._groups[number] for _, number in found}
        if not groups:
            return ()
        if len(groups) == 1:
            return self._sets[groups.pop()]
        names = {name for group in groups for name in self._sets[group]}
        return tuple(name for name in self.lists if name in names)

    def save(self, folder: Path) -> None:
        """Write trie and group numbers (native byte order) into `folder`."""
        self._trie.save(str(folder / NAMES))
        (folder / GROUPS).write_bytes(memoryview(self._groups))
