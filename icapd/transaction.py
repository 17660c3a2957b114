"""The facts of one adaptation, whoever asks: ICAP, the command line, a test.

A fact not known at this point is None, and a criterion on it is neither true nor false.
Built once per request on the hot path, hence plain slotted dataclasses, not frozen ones
(a frozen one costs 2 µs more); nothing may change a Transaction after it was built.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icapd.http import RequestHead, ResponseHead


class Point(enum.StrEnum):
    """Where Squid asks (libecap's and Squid's vectoring point, plus the TLS step)."""

    REQMOD = "reqmod"
    RESPMOD = "respmod"
    TLS = "tls"


@dataclass(slots=True, eq=False)
class Client:
    """Who asks. `address` is textual IPv4/IPv6; `port` the TCP source port at Squid."""

    address: str | None = None
    user: str | None = None
    groups: tuple[str, ...] | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class BodyFacts:
    """What only a body that was read can tell; None is what could not be told of it either.

    `size` is in bytes; `file_types` are names of icapd.policy.filetypes ("exe", "zip"),
    () where none is known; `md5` and `sha256` are lower-case hex. Types and digests are of every item of
    the body: as it came, decoded, and what is inside; the first digest is that of the bytes as they came.
    """

    size: int | None = None
    file_types: tuple[str, ...] | None = None
    md5: tuple[str, ...] | None = None
    sha256: tuple[str, ...] | None = None


@dataclass(slots=True, eq=False)
class Transaction:
    """Facts of one adaptation.

    `request` is the virgin request at REQMOD and the cause at RESPMOD; `now` is seconds
    since the epoch; `sni` and `connect_host` are names the tunnel was opened with.
    `body` is of the message at hand, None while only its head is here; `body_follows` tells
    whether the policy will be asked again when it has been read. `addresses` are those that
    the request's host leads to, as text, where somebody told them. `nameless`: the host is no more than
    the address that an intercepted connection goes to; its name is not known yet. `misuse` says why the
    tunnel that the request came in must not carry it; `again` is the id of the decision that a CONNECT asks
    for once more.
    """

    point: Point
    client: Client = field(default_factory=Client)
    request: RequestHead | None = None
    response: ResponseHead | None = None
    sni: str | None = None
    connect_host: str | None = None
    proxy_port: int | None = None
    now: float = 0.0
    body: BodyFacts | None = None
    addresses: tuple[str, ...] = ()
    body_follows: bool = False
    nameless: bool = False
    misuse: str | None = None
    again: str | None = None
