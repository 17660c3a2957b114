"""How one ICAP connection lives and ends: its transport, pauses, deadlines, an orderly close.

What it says in between is its subclass's, icapd.server.connection.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from typing import TYPE_CHECKING, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from zope.interface import implementer

from icapd.metrics.words import CONNECTIONS, LIMIT, LIMITS, RESPONSES, STATUSES
from icapd.protocol import RemoteProtocolError, ServerConnection
from icapd.protocol.server import BODY, HEAD, PREVIEW
from icapd.server.message import NO_ANSWER, Message, recorded
from icapd.server.sending import DirectSender, TlsSender
from icapd.server.site import TICK, Site
from icapd.server.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

    from icapd.protocol import Event
    from icapd.server.interfaces import TcpTransport, TlsTransport, Transport
    from icapd.server.reading import Reading

_PREVIEW_TICKS = 4  # a preview that pauses (an event stream's) is answered from its heads after two seconds
_UNREAD_TICKS = 4  # a client that has not read for two seconds may be one that first sends all it has
_TRAILER_TICKS = 2  # a body whose last CRLF is missing is taken as ended after a second
_SERVERS = 500  # from here on a status is a fault of ours
_DRAIN_BYTES = 64 * 1024 * 1024  # of a body nobody needs; past it closing is cheaper than reading


class Plan(enum.Enum):
    """What becomes of the body at hand."""

    NONE = enum.auto()
    UNMODIFIED = enum.auto()  # 204 when the preview, or the body, has ended or pauses
    ECHO = enum.auto()  # 200 has begun; every run of the body goes back as it comes
    FOLLOW = enum.auto()  # the transfer knows


NONE, UNMODIFIED, ECHO, FOLLOW = Plan  # as globals: see icapd.protocol.server


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class Lifetime(Protocol):
    """A connection, from its first moment to its last."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.conn = ServerConnection()
        self.sender: DirectSender | TlsSender
        self._wire: Transport
        self.plan = NONE
        self.decision_id = ""
        self.message: Message | None = None  # the one at hand
        self.transfer: Transfer | None = None  # of its body, if that is followed
        self.since = site.tick  # tick of the last progress in the phase at hand
        self._partial = False  # the phase is a head that has begun and not ended
        self._lingering = False
        self._waits = False  # for groups; until they come nothing else is taken, only held
        self._reads_ahead = False  # although the client does not take what is sent
        self._paused = False
        self._peer_done = False
        self._reading: Reading | None = None  # plain TCP is read by the site's hub

    # -- what the subclass does ------------------------------------------------------------------

    @abstractmethod
    def dataReceived(self, data: bytes) -> None:
        """Take bytes and answer what they complete."""

    @abstractmethod
    def _advance(self, first: Callable[[], None] | None = None) -> None:
        """Do `first`, then all that can be done with what has come."""

    @abstractmethod
    def resume(self, step: Callable[[], None]) -> None:
        """Go on with `step`, for which the connection has waited; nothing if it has ended meanwhile."""

    @abstractmethod
    def _take(self, event: Event) -> None:
        """Answer an event of a body."""

    # -- Twisted's side --------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Begin, or refuse when the limit is reached."""
        self._wire = transport = cast("Transport", self.transport)
        if ISSLTransport.providedBy(transport):
            self.sender = TlsSender(cast("TlsTransport", transport), self._drained, self.site.counts)
            self._partial = True  # a handshake has no more time than a head
        else:
            plain = cast("TcpTransport", transport)
            self.sender = DirectSender(plain, self._drained, self.site.counts)
            if self.site.hub is not None:
                self._reading = self.site.hub.add(plain, self.dataReceived)
        transport.setTcpNoDelay(True)
        site = self.site
        site.connections.add(self)
        site.counts[CONNECTIONS] += 1
        if site.crowded or len(site.connections) > site.config.limits.connections:
            site.warn("more than {limit} connections: one refused", limit=site.config.limits.connections)
            self._hit("connections")
            self._send_error(503)

    def handshakeCompleted(self) -> None:
        """TLS is up: from now on the connection is idle."""
        self._partial = False
        self.since = self.site.tick

    def readConnectionLost(self) -> None:
        """The client sends no more; what it asked for is still answered."""
        self._peer_done = True
        if self._lingering:
            self._wire.loseConnection()
            return
        self.conn.receive(b"")
        self._advance()

    def writeConnectionLost(self) -> None:
        """Our own half is closed: nothing more to do."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002
        """Forget the connection; a transaction at hand is dropped with it."""
        self.site.connections.discard(self)
        if self._reading is not None:
            self._reading.end()
        self._lingering = True
        self._drop(NO_ANSWER)

    # -- what a transfer asks for ----------------------------------------------------------------

    def transferred(self) -> None:
        """The transfer is over."""
        self.transfer = None
        self.plan = NONE
        self._reads_ahead = False

    def cut(self) -> None:
        """End the connection without a last-chunk, so that nobody takes a part for the whole."""
        self.conn.closing = True
        self.sender.release()
        self.abort()

    def _send_unmodified(self) -> None:
        self.plan = NONE
        if self.message is not None:
            self.message.record(204)
        self.sender.write(self.conn.send_unmodified(self.site.banner, self.decision_id))

    # -- the end ---------------------------------------------------------------------------------

    def _refuse(self, error: RemoteProtocolError) -> None:
        self.site.warn(
            "refused a request of {peer}: {status} {why}",
            peer=getattr(self._wire.getPeer(), "host", "?"),
            status=error.status,
            why=str(error),
        )
        self._send_error(error.status)

    def _send_error(self, status: int) -> None:
        begun = self.conn.answering
        self._drop(status)
        self.sender.release()
        data = self.conn.send_error(status, self.site.banner)
        self.plan = NONE
        if begun:  # cut it, so that nobody takes a part for the whole
            self.abort()
            return
        if data:
            self.site.counts[RESPONSES + STATUSES.index("4xx" if status < _SERVERS else "5xx")] += 1
            self.sender.write(data)
        self._linger()

    def _hit(self, limit: str) -> None:
        """Count that a bound has ended something."""
        self.site.counts[LIMIT + LIMITS.index(limit)] += 1

    def _drop(self, status: int) -> None:
        """Whatever was at hand is answered by `status`, or not at all."""
        if self.transfer is not None:
            self.transfer.drop(status)
        elif self.message is not None and self.message.outcome is not None:
            self.message.record(status)

    def _linger(self) -> None:
        """Close our half and read on a while: closing with bytes unread sends RST, which eats the answer."""
        self.sender.release()
        if self.sender.congested:
            self.conn.closing = True  # _drained comes back here
            return
        self._lingering = True
        self.since = self.site.tick
        self._set_paused(False)
        if self._peer_done:
            self._wire.loseConnection()
        else:
            self.sender.close()

    def _drained(self) -> None:
        """The sender holds nothing any more: go on reading."""
        self._reads_ahead = False
        if not self._lingering:
            self.since = self.site.tick
            self._advance(None if self.transfer is None else self.transfer.pump)

    def _set_paused(self, paused: bool) -> None:
        if paused is not self._paused:
            self._paused = paused
            reading = self._reading or self._wire
            if paused:
                reading.pauseProducing()
            else:
                reading.resumeProducing()

    def check_deadline(self) -> None:
        """Called every TICK: end what has waited too long."""
        age = (self.site.tick - self.since) * TICK
        limits = self.site.config.limits
        if self._lingering:
            if age > limits.linger:
                self._wire.abortConnection()
        elif self.sender.congested:
            self._check_reader(age, limits.body)
        elif self.conn.state is not HEAD:
            self._check_body(age, limits.body)
        elif self._partial:
            if age > limits.head:
                self._hit("head")
                self._refuse(RemoteProtocolError(408, "a head did not end in time"))
        elif age > limits.idle:
            self._linger()

    def _check_reader(self, age: float, limit: float) -> None:
        """Wait for a client that does not read; what it sends meanwhile is taken, if it may wait for that."""
        if self.sender.progressed():
            self.since = self.site.tick
        elif age > limit:
            self._hit("unread")
            self._wire.abortConnection()
        elif age >= _UNREAD_TICKS * TICK and not self._reads_ahead and self.conn.state is BODY:
            if self.plan is ECHO and self.conn.request is not None:
                self.plan = FOLLOW
                message = self.message or recorded(self.site, self.conn.request)
                self.transfer = Transfer.behind_echo(self, message)
            if self.transfer is not None:
                self._reads_ahead = True
                self._advance()

    def _check_body(self, age: float, limit: float) -> None:
        conn = self.conn
        transfer = self.transfer
        if self._waits:
            return  # the directory has a deadline of its own
        if conn.awaits_trailer and age >= _TRAILER_TICKS * TICK:
            event = conn.end_body_now()
            self._advance(None if event is None else lambda: self._take(event))
        elif transfer is not None and (age <= limit or transfer.halted or transfer.scanning):
            since = self.since
            self._advance(transfer.tick)
            if self.transfer is transfer:
                self.since = since  # a tick is no progress
        elif transfer is not None and transfer.is_unending:
            self._advance(transfer.fell_silent)
        elif self.plan is UNMODIFIED and conn.state is PREVIEW and age >= _PREVIEW_TICKS * TICK:
            self._send_unmodified()
        elif age > limit:
            self._hit("body")
            self._refuse(RemoteProtocolError(408, "a body did not go on in time"))
        elif conn.draining and conn.body_bytes > _DRAIN_BYTES:
            self._linger()

    def abort(self) -> None:
        """Cut the connection."""
        self._lingering = True
        self._wire.abortConnection()

    def close_if_idle(self) -> None:
        """Drain: close now if nothing is at hand; else after the answer at hand."""
        conn = self.conn
        if self._lingering:
            return
        if conn.state is HEAD and not conn.unread and not conn.answering and not self.sender.congested:
            self._linger()
        elif conn.state is not HEAD or not conn.unread:  # a request half read is still answered
            conn.closing = True
