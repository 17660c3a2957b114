"""Addresses as numbers: single ones, networks and ranges of them, and those hidden in others.

An address is (version, number); IPv4-mapped IPv6 is IPv4. Both families are kept apart.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

Range = tuple[int, int, int]  # version, first, last
_LOCAL_NAT64 = int(ipaddress.IPv6Address("64:ff9b:1::")) >> 80  # RFC 8215
_SIIT = int(ipaddress.IPv6Address("::ffff:0:0:0")) >> 32  # RFC 7915 §8
_ISATAP = 0x5EFE  # RFC 5214 §6.1, the interface identifier's upper half without its u bit
_NAT64 = int(ipaddress.IPv6Address("64:ff9b::")) >> 32  # RFC 6052 §2.1


@lru_cache(maxsize=4096)  # the same clients and hosts ask again
def address_number(text: str) -> tuple[int, int] | None:
    """Return (version, number) of an address; IPv4-mapped IPv6 counts as IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.version, int(address)


def embedded_addresses(host: str) -> tuple[str, ...]:
    """Return the IPv4 addresses that an IPv6 host leads to: by 6to4, Teredo, NAT64, SIIT, ISATAP.

    "::" is this machine, as 0.0.0.0 is.
    """
    if ":" not in host:
        return ()
    address = ipaddress.IPv6Address(host)
    found = []
    if address.sixtofour is not None:
        found.append(str(address.sixtofour))
    if address.teredo is not None:
        found.append(str(address.teredo[1]))
    number = int(address)
    compatible = number >> 32 == 0 and number != 1  # RFC 4291 §2.5.5.1; ::1 is no IPv4 address
    translated = number >> 32 in {_NAT64, _SIIT} or number >> 80 == _LOCAL_NAT64
    if compatible or translated or number >> 32 & 0xFDFFFFFF == _ISATAP:
        found.append(str(ipaddress.IPv4Address(number & 0xFFFFFFFF)))
    return tuple(found)


def read_addresses(text: str) -> Range:
    """Read an address, a network (10.0.0.0/8) or a range (10.0.0.1-10.0.0.9)."""
    first, dash, last = (part.strip() for part in text.partition("-"))
    try:
        if dash:
            low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
        else:
            network = ipaddress.ip_network(first)
            low, high = network[0], network[-1]
    except ValueError as error:
        msg = f"{text!r} is no address, network or range: {error}"
        raise ValueError(msg) from error
    if low.version != high.version or int(low) > int(high):
        msg = f"{text!r} is no range: it must rise within IPv4 or within IPv6"
        raise ValueError(msg)
    if isinstance(low, ipaddress.IPv6Address) and isinstance(high, ipaddress.IPv6Address):
        first_mapped, last_mapped = low.ipv4_mapped, high.ipv4_mapped
        if first_mapped is not None and last_mapped is not None:
            return 4, int(first_mapped), int(last_mapped)
    return low.version, int(low), int(high)


@dataclass(frozen=True, slots=True)
class Ranges:
    """A set of addresses: sorted, disjoint, inclusive ranges, IPv4 and IPv6 apart.

    `starts[v]`, `ends[v]` for v = 0 (IPv4) and 1 (IPv6). One trie for both families would
    match 10.1.2.3 in a00::/8.
    """

    starts: tuple[tuple[int, ...], tuple[int, ...]]
    ends: tuple[tuple[int, ...], tuple[int, ...]]

    @classmethod
    def of(cls, ranges: list[tuple[int, int, int]]) -> Ranges:
        """Build from (version, first, last), in any order, overlapping or not."""
        starts: tuple[list[int], list[int]] = ([], [])
        ends: tuple[list[int], list[int]] = ([], [])
        for version, first, last in sorted(ranges):
            family = 0 if version == 4 else 1  # noqa: PLR2004
            if ends[family] and first <= ends[family][-1] + 1:
                ends[family][-1] = max(ends[family][-1], last)
            else:
                starts[family].append(first)
                ends[family].append(last)
        return cls((tuple(starts[0]), tuple(starts[1])), (tuple(ends[0]), tuple(ends[1])))

    def holds(self, address: tuple[int, int]) -> bool:
        """Tell whether (version, number) is in the set."""
        family = 0 if address[0] == 4 else 1  # noqa: PLR2004
        at = bisect_right(self.starts[family], address[1]) - 1
        return at >= 0 and address[1] <= self.ends[family][at]

    def __bool__(self) -> bool:
        return any(self.starts)
