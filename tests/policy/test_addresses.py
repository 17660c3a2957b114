"""Addresses as numbers; IPv4 and IPv6 never meet by accident."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy.addresses import Ranges, address_number, embedded_addresses, read_addresses


def test_an_address_is_its_family_and_number() -> None:
    assert address_number("0.0.0.1") == (4, 1)
    assert address_number("::2") == (6, 2)
    assert address_number("::ffff:0.0.0.1") == (4, 1)
    assert address_number("a.test") is None
    assert address_number("") is None


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("2002:a00:1::", ("10.0.0.1",)),
        ("64:ff9b::a00:1", ("10.0.0.1",)),
        ("::10.0.0.1", ("10.0.0.1",)),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", ("10.0.0.1",)),
        ("::1", ()),
        ("::", ("0.0.0.0",)),
        ("64:ff9b:1::a00:1", ("10.0.0.1",)),
        ("::ffff:0:a00:1", ("10.0.0.1",)),
        ("fe80::5efe:a00:1", ("10.0.0.1",)),
        ("2001:db8::200:5efe:a00:1", ("10.0.0.1",)),
        ("fe80::5eff:a00:1", ()),
        ("2001:db8::1", ()),
        ("10.0.0.1", ()),
        ("a.test", ()),
    ],
)
def test_addresses_within_addresses_are_found(host: str, inside: tuple[str, ...]) -> None:
    assert embedded_addresses(host) == inside


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", (4, 0x0A000001, 0x0A000001)),
        ("10.0.0.0/8", (4, 0x0A000000, 0x0AFFFFFF)),
        ("10.0.0.1 - 10.0.0.9", (4, 0x0A000001, 0x0A000009)),
        ("fc00::/7", (6, 0xFC << 120, (0xFE << 120) - 1)),
        ("::ffff:10.0.0.0/104", (4, 0x0A000000, 0x0AFFFFFF)),
    ],
)
def test_addresses_networks_and_ranges_are_read(text: str, expected: tuple[int, int, int]) -> None:
    assert read_addresses(text) == expected


@pytest.mark.parametrize(
    "text", ["10.0.0.1/8", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "10.0.0/8", "a", "", "1-", "0/33"]
)
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        read_addresses(text)


def test_families_are_kept_apart() -> None:
    ranges = Ranges.of([read_addresses("a00::/8")])
    assert not ranges.holds((4, 0x0A010203))
    assert ranges.holds((6, 0x0A << 120))
    assert not Ranges.of([])


NETWORKS = st.builds(
    lambda n, p: ipaddress.ip_network((n, p), strict=False),
    st.integers(0, 255).map(lambda n: n << 24),
    st.integers(4, 12),
)


@given(st.lists(NETWORKS, max_size=8), st.integers(0, 2**32 - 1))
def test_ranges_agree_with_networks(networks: list[ipaddress.IPv4Network], number: int) -> None:
    ranges = Ranges.of([read_addresses(str(network)) for network in networks])
    address = ipaddress.IPv4Address(number)
    assert ranges.holds((4, number)) is any(address in network for network in networks)
    starts, ends = ranges.starts[0], ranges.ends[0]
    assert all(end + 1 < start for end, start in zip(ends, starts[1:], strict=False))
