"""Asks icapd for its OPTIONS, as Squid does first of all."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from icapd.doctor.client import SECONDS
from icapd.protocol import ClientConnection, ProtocolError, Request, ResponseReceived

if TYPE_CHECKING:
    from datetime import datetime

    from icapd.config import Listen

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (where to reach who listens everywhere)


@dataclass(frozen=True, slots=True)
class Options:
    """What one service answered."""

    status: int
    date: datetime | None


def options(listen: Listen, service: str) -> Options:
    """Ask one service. Raises OSError if no ICAP answer comes."""
    host = _ANY.get(listen.host, listen.host)
    authority = f"[{host}]:{listen.port}" if ":" in host else f"{host}:{listen.port}"
    client = ClientConnection()
    uri = f"{listen.scheme}://{authority}/{service}"
    request = Request(method=b"OPTIONS", uri=uri.encode("ascii"), host=authority.encode("ascii"))
    with contextlib.ExitStack() as closing:
        connection = closing.enter_context(socket.create_connection((host, listen.port), SECONDS))
        if listen.scheme == "icaps":
            connection = closing.enter_context(_secured(connection))
        connection.sendall(client.send_request(request))
        try:
            while True:
                event = client.next_event()
                if isinstance(event, ResponseReceived):
                    return Options(event.status, _date(event.headers.get(b"date", b"")))
                data = connection.recv(65536)
                if not data:
                    raise ConnectionError("closed without an answer")
                client.receive(data)
        except ProtocolError as error:
            raise ConnectionError(f"what answers is not ICAP ({error})") from None


def _secured(plain: socket.socket) -> ssl.SSLSocket:
    """Wrap in TLS without checking the certificate: Squid does that, and says so in its cache.log."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


def _date(value: bytes) -> datetime | None:
    try:
        return parsedate_to_datetime(value.decode("latin-1"))
    except ValueError:
        return None
