"""Which host a client's tunnel was opened to: Squid does not tell it again with the requests inside.

A request inside a decrypted tunnel names a host by its SNI and its URL; both are the client's own words.
The CONNECT named the one that Squid went to. A rule that exempts must see all of them agree, so the
CONNECT's host is kept by the client's address and TCP port, which a tunnel has to itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TUNNELS = 65_536  # the oldest is forgotten; some 200 bytes each
Key = tuple[bytes, bytes]


class Tunnels:
    """Hosts of open tunnels, by the client's address and port as the ICAP headers give them."""

    def __init__(self) -> None:
        self._hosts: dict[Key, str] = {}

    def opened(self, headers: Mapping[bytes, bytes], host: str) -> None:
        """Note that the client of `headers` asked for a tunnel to `host` (in normal form)."""
        key = _key(headers)
        if key is not None:
            self._hosts.pop(key, None)  # so that it counts as the newest
            if len(self._hosts) >= MAX_TUNNELS:
                del self._hosts[next(iter(self._hosts))]
            self._hosts[key] = host

    def host(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return the host that the tunnel of this connection was opened to, None if it is none."""
        key = _key(headers)
        return None if key is None else self._hosts.get(key)


def _key(headers: Mapping[bytes, bytes]) -> Key | None:
    address, port = headers.get(b"x-client-ip"), headers.get(b"x-client-port")
    return None if not address or not port or not port.isdigit() else (address, port)
