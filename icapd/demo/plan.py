"""What a lab is made of, before it has a directory or ports."""

from __future__ import annotations

from dataclasses import dataclass

BUMP = "bump"  # the proxy port with ssl-bump, and the CA that signs what it serves
PLAIN = "plain"  # the proxy port without
ORIGIN = "origin"  # the CA of the lab's origins


@dataclass(frozen=True, slots=True)
class ProxyPort:
    """One port of Squid; `name` stands for its number where a text is filled in."""

    name: str
    bump: bool
    mode: str = "forward"
    number: int = 0  # 0 is any free one

    @property
    def listen(self) -> str:
        """What stands before its number: where the network brings connections, they have any address."""
        return "127.0.0.1:" if self.mode == "forward" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A policy, the names its origins have, Squid's ports and what else Squid is told.

    The origins have `address` (not 127.0.0.1: Squid may reach this one address on loopback, and must be seen
    to refuse the others). They have the names `uncertified` too, but no certificate with them.
    `options` are lines of icapd.yaml; `squid_lines` stand before icapd's fragment. In them and in `policy`
    $http and $https are the origins' ports, $NAME is a proxy port's and $directory the lab's directory.
    """

    policy: str
    names: tuple[str, ...]
    uncertified: tuple[str, ...] = ()
    proxy_ports: tuple[ProxyPort, ...] = (ProxyPort(BUMP, bump=True), ProxyPort(PLAIN, bump=False))
    squid_lines: str = ""
    options: str = ""
    address: str = "127.0.0.2"
