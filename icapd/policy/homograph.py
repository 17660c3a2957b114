"""`homograph`: names that look like one the administrator gives, and are not that name.

Two names look alike if they have the same skeleton (Unicode TR 39 §4): each character
replaced by the one it is confused with, marks and case dropped. The table of confusables is
the confusable-homoglyphs package's. 0 for o and 1 for l are part of it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import idna

from icapd.policy.match import parents

if TYPE_CHECKING:
    from icapd.policy.facts import Facts
    from icapd.policy.match import Key, Truth

# Pairs of ASCII that pass for one letter; the table has them for single characters only.
_PAIRS = (("rn", "m"), ("vv", "w"))


@cache
def _table() -> dict[int, str]:
    """Return for each character the least ASCII letter or digit that it is confused with."""
    from confusable_homoglyphs import confusables  # noqa: PLC0415  (900 KB of JSON, for those who use it)

    small = "abcdefghijklmnopqrstuvwxyz0123456789"
    table = {0x4CF: "l"}  # the small palochka: the table has the capital only
    for form in small + small.upper():  # names are in small letters: those come first
        for alike in confusables.confusables_data.get(form, ()):
            character = alike["c"].strip("\u200e")
            if len(character) == 1 and not character.isascii():
                table.setdefault(ord(character), form.lower())
    return table


_ASCII = str.maketrans("01", "ol")


@lru_cache(maxsize=4096)
def skeleton(name: str) -> str:
    """Return what a name in normal form looks like: names that look alike share it."""
    shown = ".".join(map(_unicode, name.split(".")))
    plain = unicodedata.normalize("NFKD", shown).casefold()
    plain = "".join(c for c in plain if not unicodedata.combining(c)).translate(_table())
    plain = unicodedata.normalize("NFKD", plain).translate(_ASCII)
    for pair, letter in _PAIRS:
        plain = plain.replace(pair, letter)
    return plain


def _unicode(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return idna.decode(label)
    except (idna.IDNAError, UnicodeError):
        try:
            return label[4:].encode("ascii").decode("punycode")
        except UnicodeError:
            return label


@dataclass(frozen=True, slots=True)
class HomographIs:
    """`homograph`: a name or a parent of it looks like one of `names`. Never lets anything out."""

    wanted: tuple[str, ...]
    names: frozenset[str]
    skeletons: frozenset[str]
    criterion = "homograph"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Hold for any name; strictly never, since a likeness proves nothing."""
        if strict:
            return False
        return any(map(self._looks, facts.names)) if facts.names else None

    def _looks(self, name: str) -> bool:
        own = tuple(parents(name))
        return self.names.isdisjoint(own) and not self.skeletons.isdisjoint(map(skeleton, own))

    def found(self, facts: Facts) -> str:
        """Return the names with what they look like."""
        return ", ".join(f"{name} (looks like {skeleton(name)})" for name in facts.names)

    def keys(self) -> tuple[Key, ...] | None:
        """File it under what its names look like."""
        return tuple(("skeleton", each) for each in sorted(self.skeletons))
