"""CIDR lists: an address, a network or a range on each line, as blocklists of addresses have them."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from icapd.lists.entry import IGNORED
from icapd.lists.formats.lines import text_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.lists.entry import Item, Readable

COMMENT = re.compile(r"[;#].*")
# A network this wide in a list of evil addresses is a mistake or an attack: 1/256 of IPv4.
_WIDEST = {4: 8, 6: 16}


def read_networks(stream: Readable) -> Iterator[Item]:
    """Yield the ranges of a CIDR list; what follows ";" or "#" is comment (Spamhaus DROP has it so)."""
    for number, text, why in text_lines(stream, ("#", ";", "!")):
        yield number, *((IGNORED, why) if why else network_entry(COMMENT.sub("", text)))


def network_entry(text: str) -> tuple[str, str]:
    """Return the entry of "1.2.3.0/24", "1.2.3.4" or "1.2.3.4-1.2.3.9", or ("ignored", reason)."""
    first, dash, last = (part.strip() for part in text.partition("-"))
    try:
        if dash:
            low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
        else:
            network = ipaddress.ip_network(first, strict=False)
            low, high = network[0], network[-1]
    except ValueError:
        return IGNORED, "not an address, network or range"
    if isinstance(low, ipaddress.IPv6Address) and isinstance(high, ipaddress.IPv6Address):
        mapped = low.ipv4_mapped, high.ipv4_mapped
        if mapped[0] is not None and mapped[1] is not None:
            low, high = mapped[0], mapped[1]
    if low.version != high.version or int(low) > int(high):
        return IGNORED, "a range that does not rise within IPv4 or within IPv6"
    if int(high) - int(low) >= 1 << (low.max_prefixlen - _WIDEST[low.version]):
        return IGNORED, "a network too wide: IPv4 from /8 and IPv6 from /16 on are taken"
    return "range", f"{low.version} {int(low)} {int(high)}"
