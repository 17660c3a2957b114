"""The ICAP services: which URL takes which method, and what OPTIONS says of it.

Source: RFC 3507 §4.10.2; which fields Squid honours and which hurt it was measured on Squid 5.7
(no Transfer-Ignore, `Transfer-Preview: *` or no preview at all, Options-TTL of at least an hour, a
current Date, integers only in Allow for g3proxy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd import __version__
from icapd.protocol import Answer
from icapd.transaction import Point

if TYPE_CHECKING:
    from icapd.config import Config

_MIN_MAX_CONNECTIONS = 1000  # Squid divides it by its workers, and 0 hangs it


@dataclass(frozen=True, slots=True)
class Service:
    """One `icap://` resource: its path, its one method, and its OPTIONS answer."""

    path: bytes
    method: bytes
    point: Point
    options: Answer


def services(config: Config) -> dict[bytes, Service]:
    """Return the services by path."""
    made = (
        _service(config, b"/reqmod", b"REQMOD", Point.REQMOD),
        _service(config, b"/respmod", b"RESPMOD", Point.RESPMOD),
    )
    return {service.path: service for service in made}


def _service(config: Config, path: bytes, method: bytes, point: Point) -> Service:
    lines = [
        b"Methods: " + method,
        b"Service: icapd/" + __version__.encode("ascii"),
        b"Allow: 204",
        b"Preview: %d" % config.service.preview,
        b"Transfer-Preview: *",
        b"Options-TTL: %d" % config.service.options_ttl,
        b"X-Include: X-Client-IP, X-Client-Username, X-Authenticated-User",
    ]
    if config.limits.connections >= _MIN_MAX_CONNECTIONS:
        lines.append(b"Max-Connections: %d" % config.limits.connections)
    extra = b"".join(line + b"\r\n" for line in lines)
    return Service(path, method, point, Answer(200, extra=extra))
