"""What of a record is kept: queries cut off, clients and users made anonymous, before anything is written."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from icapd.events.formats import Record

_PREFIXES = {4: 24, 6: 48}
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Privacy:
    """Which facts are withheld. `key` is the installation's secret, for hashed users (16 bytes or more)."""

    strip_query: bool = False
    anonymise_client: bool = False
    users: Literal["keep", "hash", "drop"] = "keep"
    key: bytes = b""

    def __bool__(self) -> bool:
        return self.strip_query or self.anonymise_client or self.users != "keep"

    def apply(self, record: Record) -> Record:
        """Return the record as it may be written; the one given stays as it is."""
        out = dict(record)
        if self.strip_query and out.get("url"):
            out["url"] = str(out["url"]).partition("?")[0].partition("#")[0]
        if self.anonymise_client:
            if out.get("client"):
                out["client"] = network_of(str(out["client"]))
            out.pop("client_port", None)
        if out.get("user") and self.users != "keep":
            out["user"] = self._hashed(str(out["user"])) if self.users == "hash" else None
        return out

    def _hashed(self, user: str) -> str:
        data = user.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, key=self.key[:64]).hexdigest()[:_DIGITS]


def network_of(address: str) -> str | None:
    """Return the first address of its /24 or /48, None for what is no address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    found = getattr(found, "ipv4_mapped", None) or found
    network = ipaddress.ip_network((found, _PREFIXES[found.version]), strict=False)
    return str(network.network_address)
