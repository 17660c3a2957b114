"""A sans-IO ICAP/1.0 connection, server and client role (RFC 3507, its errata, 206, HTTP trailers).

Bytes in, events out, and the other way round; no socket, clock or policy. The tables of states are
in `server` and `client`, the grammar in `abnf`, the limits beside it.
"""

from icapd.protocol.answers import Answer, Banner, naming
from icapd.protocol.chunked import chunk
from icapd.protocol.client import ClientConnection, Request
from icapd.protocol.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from icapd.protocol.events import (
    BodyEnded,
    ConnectionEnded,
    ContinueReceived,
    DataReceived,
    Event,
    PreviewEnded,
    RequestReceived,
    ResponseReceived,
)
from icapd.protocol.server import ServerConnection

__all__ = [
    "Answer",
    "Banner",
    "BodyEnded",
    "ClientConnection",
    "ConnectionEnded",
    "ContinueReceived",
    "DataReceived",
    "Event",
    "LocalProtocolError",
    "PreviewEnded",
    "ProtocolError",
    "RemoteProtocolError",
    "Request",
    "RequestReceived",
    "ResponseReceived",
    "ServerConnection",
    "chunk",
    "naming",
]
