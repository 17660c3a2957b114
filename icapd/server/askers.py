"""Who asks, and how: what an ICAP head says beside where the message's parts begin.

A Squid says the same again for each request that one connection of a client brings within a second;
only Encapsulated differs. So what was read of a head is remembered under the head without that line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from icapd.events import asker_part
from icapd.facts import user_of
from icapd.metrics.words import ACTIONS, POINTS, QUICK
from icapd.protocol.encapsulated import request_layout
from icapd.protocol.head import parse_request_head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icapd.facts import UserHeaders
    from icapd.protocol.encapsulated import Layout
    from icapd.server.services import Service
    from icapd.transaction import Point

MAX_ASKERS = 4_096
MAX_HEAD = 1_024  # bytes of a head that is remembered, and of one that is taken the short way at all
_LINE = b"\r\nEncapsulated: "
_UNKNOWN = b"-"  # how Squid writes what it does not know
_BLANKS = (b" ", b"\t")


class Asker(NamedTuple):
    """One client at one service. `part` is what the log's line says of it.

    `allows_204` is outside a preview; `sni` and `server` are None where they are not told. `counts` is where
    what becomes of his messages is counted, by action.
    """

    point: Point
    method: bytes
    headers: Mapping[bytes, bytes]
    client: str
    user: str
    part: str
    previews: bool
    allows_204: bool
    sni: bytes | None
    server: str | None
    counts: int


class Askers:
    """Reads ICAP heads. `names` are the headers that tell the user."""

    def __init__(self, services: Mapping[bytes, Service], names: UserHeaders) -> None:
        self._services = services
        self._names = names
        self._known: dict[bytes, Asker | None] = {}

    def read(self, head: bytes) -> tuple[Asker, Layout] | None:
        """Read a head without its blank line; None if it is not as Squid writes it, or asks for more.

        Raises RemoteProtocolError, HeadError.
        """
        at = head.find(_LINE)
        if at < 0 or len(head) > MAX_HEAD:
            return None
        end = head.find(b"\r\n", at + 2)
        if end < 0:
            end = len(head)
        key = head[:at] + head[end:]
        try:
            asker = self._known[key]
        except KeyError:
            asker = self._learn(head, key, end)
        if asker is None:
            return None
        return asker, request_layout(asker.method, head[at + 16 : end].strip())

    def _learn(self, head: bytes, key: bytes, end: int) -> Asker | None:
        if head.startswith(_BLANKS, end + 2) or b"\nencapsulated" in key.lower():
            return None  # not all of Encapsulated is in its line
        icap, _ = parse_request_head(head)
        headers = icap.headers
        service = self._services.get(icap.path)
        asker = None
        if (
            service is not None
            and service.method == icap.method
            and not icap.close
            and b"x-authenticated-groups" not in headers
        ):
            address, sni, server = map(headers.get, (b"x-client-ip", b"x-sni", b"x-server-ip"))
            client = None if not address or address == _UNKNOWN else address.decode("latin-1")
            user = user_of(headers, self._names)
            asker = Asker(
                service.point,
                icap.method,
                headers,
                client or "",
                user or "",
                asker_part(client, user),
                icap.preview is not None,
                b"204" in icap.allow,
                None if sni == _UNKNOWN else sni,
                None if not server or server == _UNKNOWN else server.decode("latin-1"),
                QUICK + POINTS.index(service.point) * len(ACTIONS),
            )
        if len(self._known) >= MAX_ASKERS:
            self._known.clear()
        self._known[key] = asker
        return asker
