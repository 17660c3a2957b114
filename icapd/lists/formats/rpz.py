"""Response policy zones (draft-vixie-dnsop-dns-rpz): which names a resolver would answer falsely.

`x CNAME .` and `x CNAME *.` (no such name, no data), `x CNAME rpz-drop.` and false addresses
block x alone; `*.x` blocks what is below it, here with x itself. `rpz-passthru.` makes an
exception. Triggers by address (rpz-ip) become networks; those by name server are ignored.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from icapd.http import is_address
from icapd.lists.entry import IGNORED
from icapd.lists.formats.domains import name_entry
from icapd.lists.formats.lines import raw_lines, text_or_why
from icapd.lists.formats.networks import network_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.lists.entry import Item, Readable

_TTL = re.compile(r"[0-9]+(?:[smhdwSMHDW][0-9]*)*")
_CLASSES = frozenset({"IN", "CH", "HS"})
_BLOCKING = frozenset({".", "*.", "rpz-drop.", "rpz-tcp-only."})
_PASSING = frozenset({"rpz-passthru."})
_ZONE_TYPES = frozenset({"SOA", "NS", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM"})
_IPV6_LABELS = 8


def read_rpz(stream: Readable) -> Iterator[Item]:
    """Yield the entries of a zone file. Records of the zone itself (SOA, NS) yield nothing."""
    zone = _Zone()
    for number, raw in raw_lines(stream):
        text, why = text_or_why(raw)
        if why:
            yield number, IGNORED, why
            continue
        # text is stripped: a line that begins with a blank goes on with the owner before it
        line = text.partition(";")[0].strip()  # within quotes only TXT has one
        if line:
            entry = zone.take(line, continued=raw[:1] in {b" ", b"\t"})
            if entry is not None:
                yield number, *entry


class _Zone:
    """The state of a zone file: its origin, the owner of the last record, an open parenthesis."""

    def __init__(self) -> None:
        self.origin = ""
        self.owner = ""
        self.open = False

    def take(self, line: str, *, continued: bool) -> tuple[str, str] | None:
        """Return the entry of one line, or None if it is of the zone itself."""
        if self.open:
            self.open = ")" not in line
            return None
        self.open = "(" in line and ")" not in line
        words = line.split()
        if words[0].startswith("$"):
            return self._directive(words)
        if not continued:
            self.owner = words.pop(0)
        while words and (words[0].upper() in _CLASSES or _TTL.fullmatch(words[0])):
            words.pop(0)
        kind = words.pop(0).upper() if words else ""
        if kind == "SOA":
            self._set_zone()
            return None
        if kind in _ZONE_TYPES:
            return None
        return self._record(kind, words)

    def _directive(self, words: list[str]) -> tuple[str, str] | None:
        name = words[0].upper()
        if name == "$ORIGIN" and len(words) > 1:
            self.origin = words[1].lower().strip(".")
            return None
        return None if name == "$TTL" else (IGNORED, f"the directive {name[:12]}")

    def _set_zone(self) -> None:
        """Take the SOA's owner as the zone, where no $ORIGIN said so."""
        if not self.origin and self.owner != "@":
            self.origin = self.owner.lower().strip(".")

    def _record(self, kind: str, words: list[str]) -> tuple[str, str] | None:
        if self.owner == "@":
            return None
        if kind not in {"CNAME", "A", "AAAA"} or not words:
            return IGNORED, f"a record of type {kind[:10]}" if kind else "not a record"
        target = words[0].lower()
        owner = self._relative()
        if kind == "CNAME" and target in _PASSING:
            return _owner_entry(owner, "except")
        if kind != "CNAME" or target in _BLOCKING:
            return _owner_entry(owner, "exact")
        return IGNORED, "a CNAME to another name: it redirects, and does not block"

    def _relative(self) -> str:
        """Return the owner relative to the zone, where it is written in full."""
        owner = self.owner.lower()
        if owner.endswith("."):
            owner = owner.removesuffix(".").removesuffix(f".{self.origin}" if self.origin else "")
        return owner


def _owner_entry(owner: str, kind: str) -> tuple[str, str]:
    """Return the entry of a trigger: a name, "*." and a name, or an address in reverse before rpz-ip."""
    name, dot, trigger = owner.rpartition(".")
    if dot and trigger in {"rpz-ip", "rpz-client-ip"}:
        if trigger == "rpz-client-ip" or kind == "except":
            return IGNORED, f"a trigger by {trigger} that icapd has no use for"
        return _network(name.split("."))
    if trigger in {"rpz-nsdname", "rpz-nsip"}:
        return IGNORED, "a trigger by name server, which a proxy does not see"
    if is_address(owner):
        return IGNORED, "an address as an owner"
    return name_entry(owner, "name" if owner.startswith("*.") and kind == "exact" else kind)


def _network(labels: list[str]) -> tuple[str, str]:
    """Read "24.0.2.0.192" as 192.0.2.0/24 and "48.zz.db8.2001" as 2001:db8::/48."""
    prefix, *rest = labels
    rest.reverse()
    if len(rest) == 4 and "zz" not in rest:  # noqa: PLR2004
        return network_entry(f"{'.'.join(rest)}/{prefix}")
    if rest.count("zz") <= 1:
        text = ":".join("" if part == "zz" else part for part in rest)
        text = f":{text}" if rest[:1] == ["zz"] else text
        text = f"{text}:" if rest[-1:] == ["zz"] else text
        try:
            ipaddress.IPv6Network(f"{text}/{prefix}")
        except ValueError:
            return IGNORED, "not an address, network or range"
        return network_entry(f"{text}/{prefix}")
    return IGNORED, "not an address, network or range"
