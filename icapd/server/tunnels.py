"""Which host a client's tunnel was opened to, and what for: Squid does not tell it with the requests inside.

A request inside a decrypted tunnel names a host by its SNI and its URL; both are the client's own words.
The CONNECT named the one that Squid went to. A rule that exempts must see all of them agree, so the
CONNECT's host is kept by the client's address and TCP port, which a tunnel has to itself.

A CONNECT that was let through only for what is asked inside holds a ticket: it is good for requests to its
own host alone, and the first of them must come within TICKET_SECONDS. The rest is refused, and recorded.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from icapd.events import ticket_line
from icapd.http import HeadError
from icapd.policy import is_for_inner, names_of
from icapd.transaction import Point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from icapd.policy import Decision, Policy, TlsDecision
    from icapd.transaction import Transaction

MAX_TUNNELS = 65_536  # the oldest is forgotten; some 400 bytes each
_CLOCK_SLACK = 5.0  # s by which the clock may be corrected without consequence
TICKET_SECONDS = 300.0  # Squid itself waits as long for the first request (request_start_timeout)
_MAX_EVENTS = 1000  # between two ticks: a client must not fill the log
Key = tuple[bytes, bytes]


class Ticket(enum.Enum):
    """What a tunnel was let through for."""

    NONE = enum.auto()  # itself
    WAITING = enum.auto()  # a request inside, which has not come
    USED = enum.auto()
    EXPIRED = enum.auto()


@dataclass(slots=True)
class Tunnel:
    """One open tunnel: its host in normal form, "" where only an address is known; its CONNECT's decision."""

    host: str
    id: str
    opened: float
    ticket: Ticket = Ticket.NONE


class Store(Protocol):
    """Where tunnels are kept: in this process, or in memory that several share."""

    @property
    def find(self) -> Callable[[Key], Tunnel | None]:
        """Return the tunnel of a key; asked for by most https requests."""
        ...

    def put(self, key: Key, tunnel: Tunnel) -> None:
        """Keep a new tunnel, in place of an older one of the same key."""

    def mark(self, key: Key, tunnel: Tunnel, becomes: Ticket) -> bool:
        """Change its ticket; False if it is gone, or another process has changed it meanwhile."""
        ...


class OwnStore:
    """Tunnels of this process alone."""

    def __init__(self) -> None:
        self._tunnels: dict[Key, Tunnel] = {}
        self.find: Callable[[Key], Tunnel | None] = self._tunnels.get

    def put(self, key: Key, tunnel: Tunnel) -> None:
        """Keep a new tunnel; the oldest makes room."""
        self._tunnels.pop(key, None)  # so that it counts as the newest
        if len(self._tunnels) >= MAX_TUNNELS:
            del self._tunnels[next(iter(self._tunnels))]
        self._tunnels[key] = tunnel

    def mark(self, key: Key, tunnel: Tunnel, becomes: Ticket) -> bool:
        """Change its ticket."""
        tunnel.ticket = becomes
        return self._tunnels.get(key) is tunnel


class Tunnels:
    """Open tunnels by the client's address and port as the ICAP headers give them."""

    def __init__(self, store: Store | None = None, waiting: Iterable[tuple[Key, Tunnel]] = ()) -> None:
        """`waiting`: those whose tickets are to be looked after, oldest first."""
        self._store: Store = store or OwnStore()
        self._find = self._store.find
        self._waiting: dict[Key, Tunnel] = dict(waiting)  # by age
        self._events: list[tuple[float, str, Key, Tunnel]] = []

    def opened(
        self, headers: Mapping[bytes, bytes], host: str, decision_id: str = "", now: float = 0.0
    ) -> None:
        """Note that the client of `headers` asked for a tunnel to `host` (in normal form)."""
        key = _key(headers)
        if key is not None:
            self._waiting.pop(key, None)
            self._store.put(key, Tunnel(host, decision_id, now))

    def host(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return the host that the tunnel of this connection was opened to, None if it is none."""
        tunnel = self._of(headers)
        return None if tunnel is None else tunnel.host or None

    def is_plain(self, headers: Mapping[bytes, bytes], name: str) -> bool:
        """Tell whether a request to `name` inside this connection's tunnel, if any, needs no look at it."""
        tunnel = self._of(headers)
        return tunnel is None or (tunnel.host in {name, ""} and tunnel.ticket in {Ticket.NONE, Ticket.USED})

    def attend(self, tx: Transaction, headers: Mapping[bytes, bytes], decision_id: str) -> None:
        """Note a CONNECT's host, and tell `tx` what its tunnel's is, and whether it may come through it."""
        request = tx.request
        if request is None:
            return
        try:
            url = request.url
        except HeadError:
            return  # the policy refuses it
        if url.path is not None:
            if url.scheme == "https":
                self._inside(tx, headers)
            return
        kind = headers.get(b"x-icapd-tunnel")
        tunnel = self._of(headers)
        if kind == b"again" and tunnel is not None:
            tx.again = tunnel.id
        elif kind == b"address":
            tx.nameless = True
            tx.addresses = tx.addresses or (url.host,)
            self.opened(headers, "", decision_id, tx.now)
        else:
            self.opened(headers, url.host, decision_id, tx.now)

    def concluded(
        self,
        headers: Mapping[bytes, bytes],
        tx: Transaction,
        policy: Policy,
        decision: Decision,
        tls: TlsDecision | None,
    ) -> None:
        """Give a CONNECT that opens only for what is asked inside its ticket. Unread ones need none."""
        key = _key(headers)
        tunnel = None if key is None else self._find(key)
        if key is None or tunnel is None or tunnel.ticket is not Ticket.NONE:
            return
        if (tls is None or tls.action == "bump") and is_for_inner(policy, tx, decision):
            self._store.mark(key, tunnel, Ticket.WAITING)
            self._waiting[key] = tunnel

    def events(self, now: float, source: str) -> list[str]:
        """Return the lines, open, of tickets that ended badly since the last call; some expire `now`."""
        while self._waiting:
            key, tunnel = next(iter(self._waiting.items()))
            if not _is_late(now, tunnel):
                break
            del self._waiting[key]
            if self._store.mark(key, tunnel, Ticket.EXPIRED):
                self._record("ticket-unused", now, key, tunnel)
        events, self._events = self._events, []
        return [
            ticket_line(at, event, source, tunnel.id, key, tunnel.host) for at, event, key, tunnel in events
        ]

    def _inside(self, tx: Transaction, headers: Mapping[bytes, bytes]) -> None:
        key = _key(headers)
        tunnel = None if key is None else self._find(key)
        if key is None or tunnel is None or not tunnel.host:
            return
        if tunnel.ticket is not Ticket.NONE and tx.point is Point.REQMOD:
            tx.misuse = _misuse(tx, tunnel)
            if tx.misuse is not None:
                self._record("ticket-misused", tx.now, key, tunnel)
            elif tunnel.ticket is Ticket.WAITING:
                self._store.mark(key, tunnel, Ticket.USED)
                self._waiting.pop(key, None)
        tx.connect_host = tunnel.host

    def _record(self, event: str, now: float, key: Key, tunnel: Tunnel) -> None:
        if len(self._events) < _MAX_EVENTS:
            self._events.append((now, event, key, tunnel))

    def _of(self, headers: Mapping[bytes, bytes]) -> Tunnel | None:
        key = _key(headers)
        return None if key is None else self._find(key)


def _is_late(now: float, tunnel: Tunnel) -> bool:
    """Whether its time is over; also where the clock was set back, or it would last as long as that."""
    return not -_CLOCK_SLACK <= now - tunnel.opened < TICKET_SECONDS


def _misuse(tx: Transaction, tunnel: Tunnel) -> str | None:
    """Say why this request must not use the ticket of `tunnel`, None if it may."""
    if tunnel.ticket is Ticket.EXPIRED or (tunnel.ticket is Ticket.WAITING and _is_late(tx.now, tunnel)):
        return f"its tunnel was opened {TICKET_SECONDS:.0f} s ago or more, for a request that did not come"
    try:
        others = [name for name in names_of(tx) if name != tunnel.host]
    except HeadError:
        return None  # the policy refuses it
    return f"its tunnel was opened for {tunnel.host} alone, not for {others[0]}" if others else None


def _key(headers: Mapping[bytes, bytes]) -> Key | None:
    address, port = headers.get(b"x-client-ip"), headers.get(b"x-client-port")
    return None if not address or not port or not port.isdigit() else (address, port)
