"""One ICAP connection under Twisted: events to answers, deadlines, backpressure, an orderly end.

The sans-IO ServerConnection knows what may be said; this class knows when to stop waiting.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from zope.interface import implementer

from icapd.adaptation import UseAdapted
from icapd.protocol import (
    Answer as IcapAnswer,
)
from icapd.protocol import (
    BodyEnded,
    ConnectionEnded,
    DataReceived,
    Event,
    PreviewEnded,
    RemoteProtocolError,
    RequestReceived,
    ServerConnection,
)
from icapd.protocol.server import HEAD, PREVIEW
from icapd.server.sending import DirectSender, TlsSender
from icapd.server.site import TICK, Site, Waiting

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from icapd.adaptation import Answer
    from icapd.server.interfaces import TcpTransport, TlsTransport, Transport
    from icapd.server.reading import Reading

_VIA = b"Via: ICAP/1.0 icapd\r\n"  # RFC 3507 §4.4.2: an adapted message names us
_PREVIEW_TICKS = 4  # a preview that pauses (an event stream's) is answered from its heads after two seconds
_TRAILER_TICKS = 2  # a body whose last CRLF is missing is taken as ended after a second
_DRAIN_BYTES = 64 * 1024 * 1024  # of a body nobody needs; past it closing is cheaper than reading


class Plan(enum.Enum):
    """What becomes of the body at hand."""

    NONE = enum.auto()
    UNMODIFIED = enum.auto()  # 204 when the preview, or the body, has ended or pauses
    ECHO = enum.auto()  # 200 has begun; every run of the body goes back as it comes


_NONE, _UNMODIFIED, _ECHO = Plan  # as globals: see icapd.protocol.server


@dataclass(frozen=True, slots=True)
class _Told:
    """What the request at hand has waited for has come."""

    icap: RequestReceived
    waiting: Waiting
    groups: tuple[str, ...] | None


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class IcapProtocol(Protocol):
    """Serves one connection until either side ends it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.conn = ServerConnection()
        self.sender: DirectSender | TlsSender
        self._wire: Transport
        self.plan = _NONE
        self.decision_id = ""
        self.since = site.tick  # tick of the last progress in the phase at hand
        self._partial = False  # the phase is a head that has begun and not ended
        self._lingering = False
        self._waits = False  # for groups; until they come nothing else is taken, only held
        self._paused = False
        self._peer_done = False
        self._reading: Reading | None = None  # plain TCP is read by the site's hub

    # -- Twisted's side --------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Begin, or refuse when the limit is reached."""
        self._wire = transport = cast("Transport", self.transport)
        if ISSLTransport.providedBy(transport):
            self.sender = TlsSender(cast("TlsTransport", transport), self._drained)
            self._partial = True  # a handshake has no more time than a head
        else:
            plain = cast("TcpTransport", transport)
            self.sender = DirectSender(plain, self._drained)
            if self.site.hub is not None:
                self._reading = self.site.hub.add(plain, self.dataReceived)
        transport.setTcpNoDelay(True)
        site = self.site
        site.connections.add(self)
        if len(site.connections) > site.config.limits.connections:
            site.warn("more than {limit} connections: one refused", limit=site.config.limits.connections)
            self._send_error(503)

    def handshakeCompleted(self) -> None:
        """TLS is up: from now on the connection is idle."""
        self._partial = False
        self.since = self.site.tick

    def dataReceived(self, data: bytes) -> None:
        """Take bytes and answer what they complete."""
        if self._lingering:
            return
        conn = self.conn
        if conn.is_fresh and not (self._paused or self.sender.congested):
            if self._answered_quickly(data):
                return
            begun = self.site.quick.begun
            if begun is not None:
                conn.receive_begun(data, *begun)
                self._advance()
                return
        conn.receive(data)
        self._advance()

    def _answered_quickly(self, data: bytes) -> bool:
        try:
            quick = self.site.quick.answer(data)
        except Exception:  # noqa: BLE001  # the long way meets it again, and answers for it
            self.site.quick.begun = None
            return False
        if quick is None:
            return False
        answer, held_back = quick
        self.conn.answered_aside(held_back=held_back)
        self.since = self.site.tick
        self.sender.write(answer)
        if self.sender.congested:
            self._set_paused(True)
        return True

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

    # -- events to answers -----------------------------------------------------------------------

    def _advance(self, first: Event | _Told | None = None) -> None:
        conn = self.conn
        if self._waits:
            self._set_paused(conn.wants_pause)
            return
        try:
            self._take_all(first)
        except RemoteProtocolError as error:
            self._refuse(error)
        except Exception:  # noqa: BLE001  # whatever it is, it must cost one transaction, not the process
            self.site.log.failure("decision {id} failed", id=self.decision_id or "(none)")
            self._send_error(500)
        if self.plan is _ECHO:
            self.sender.release()
        if not self._lingering:
            self._rest()

    def _take_all(self, first: Event | _Told | None) -> None:
        conn = self.conn
        if self.plan is _ECHO:
            self.sender.hold()
        if first is not None:
            self._take(first)
        while (event := conn.next_event()) is not None:
            if type(event) is RequestReceived:
                self._request(event)
            else:
                self._take(event)
            if self._lingering or self._waits or self.sender.congested:
                break

    def _rest(self) -> None:
        """Nothing more to do for now: note since when, and whether to read on or to close."""
        conn = self.conn
        unread = conn.unread
        partial = unread > 0 and conn.state is HEAD  # a head that drips is not progress
        if not partial or not self._partial:
            self.since = self.site.tick
        self._partial = partial
        if conn.closing and conn.state is HEAD and not conn.answering:
            self._linger()
        elif self._paused or unread or self.sender.congested:
            self._set_paused(self.sender.congested or conn.wants_pause)

    def _take(self, event: Event | _Told) -> None:
        if isinstance(event, DataReceived):
            self._data(event)
        elif isinstance(event, BodyEnded):
            self._body_ended(event)
        elif isinstance(event, PreviewEnded):
            self.plan = _NONE  # headers decide: the preview is always enough, and 204 answers it
            self.sender.write(self.conn.send_unmodified(self.site.banner))
        elif isinstance(event, ConnectionEnded):
            self._linger()
        elif isinstance(event, _Told):
            may_204 = self.conn.may_204
            self._answer(event.icap, event.waiting.finish(event.groups, may_204), may_204)

    def _request(self, icap: RequestReceived) -> None:
        site = self.site
        conn = self.conn
        self.plan = _NONE
        if site.draining:
            conn.closing = True
        service = site.services.get(icap.path)
        if service is None:
            self._send_error(404)
        elif icap.method == b"OPTIONS":
            self.sender.write(conn.send_answer(service.options, site.banner))
        elif icap.method != service.method:
            self._send_error(405)
        else:
            self.decision_id = decision_id = site.next_id()
            may_204 = conn.may_204
            answer = site.adapt(icap, service, decision_id, may_204=may_204)
            if type(answer) is Waiting:
                self._waits = True
                answer.groups.then(lambda groups: self._told(_Told(icap, answer, groups)))
            else:
                self._answer(icap, answer, may_204)

    def _told(self, told: _Told) -> None:
        self._waits = False
        if not self._lingering:  # the connection may have ended meanwhile
            self._advance(told)

    def _answer(self, icap: RequestReceived, answer: Answer, may_204: bool) -> None:
        conn = self.conn
        if type(answer) is UseAdapted:
            self.sender.write(conn.send_answer(_adapted(answer, self.decision_id), self.site.banner))
        elif not may_204:
            if icap.body is not None:
                self.plan = _ECHO
                self.sender.hold()
            self.sender.write(conn.send_answer(_echo(icap), self.site.banner))
        elif icap.body is None:
            self.sender.write(conn.send_unmodified(self.site.banner))
        else:
            self.plan = _UNMODIFIED

    def _data(self, event: DataReceived) -> None:
        limit = self.site.config.limits.body_bytes
        if limit and self.conn.body_bytes > limit:
            raise RemoteProtocolError(413, "the body is larger than limits.body_bytes")
        if self.plan is _ECHO:
            self.sender.write(self.conn.send_data(event.wire))

    def _body_ended(self, event: BodyEnded) -> None:
        if self.plan is _ECHO:
            self.sender.write(self.conn.send_end(event.trailer))
            self.sender.release()
        elif self.plan is _UNMODIFIED:
            self.sender.write(self.conn.send_unmodified(self.site.banner))
        self.plan = _NONE

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
        self.sender.release()
        data = self.conn.send_error(status, self.site.banner)
        self.plan = _NONE
        if begun:  # cut it, so that nobody takes a part for the whole
            self.abort()
            return
        if data:
            self.sender.write(data)
        self._linger()

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
        if not self._lingering:
            self.since = self.site.tick
            self._advance()

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
            if self.sender.progressed():
                self.since = self.site.tick
            elif age > limits.body:
                self._wire.abortConnection()
        elif self.conn.state is not HEAD:
            self._check_body(age, limits.body)
        elif self._partial:
            if age > limits.head:
                self._refuse(RemoteProtocolError(408, "a head did not end in time"))
        elif age > limits.idle:
            self._linger()

    def _check_body(self, age: float, limit: float) -> None:
        conn = self.conn
        if self._waits:
            return  # the directory has a deadline of its own
        if conn.awaits_trailer and age >= _TRAILER_TICKS * TICK:
            self._advance(conn.end_body_now())
        elif self.plan is _UNMODIFIED and conn.state is PREVIEW and age >= _PREVIEW_TICKS * TICK:
            self.plan = _NONE
            self.sender.write(conn.send_unmodified(self.site.banner))
        elif age > limit:
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


def _adapted(answer: UseAdapted, decision_id: str) -> IcapAnswer:
    extra = b"X-Icapd-Decision: %b\r\n" % decision_id.encode("ascii")
    extra += b"".join([b"%b: %b\r\n" % pair for pair in answer.reply_headers])
    return IcapAnswer(200, answer.head, b"res" if answer.is_response else b"req", answer.body, extra=extra)


def _echo(icap: RequestReceived) -> IcapAnswer:
    """The virgin message as a 200: what 204 says, for a client that cannot take one."""
    is_request = icap.method == b"REQMOD"
    head = icap.request_head if is_request else icap.response_head
    if head is not None:
        head = head[:-2] + _VIA + b"\r\n"
    return IcapAnswer(200, head, b"req" if is_request else b"res", streams=icap.body is not None)
