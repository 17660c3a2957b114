"""What one ICAP connection says: events to answers.

The sans-IO ServerConnection knows what may be said; icapd.server.lifetime knows when to stop waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.adaptation import UseAdapted, UseVirgin
from icapd.metrics.words import OPTIONS, PREVIEWS, RECEIVED, RESPONSES
from icapd.protocol import (
    BodyEnded,
    ConnectionEnded,
    DataReceived,
    Event,
    PreviewEnded,
    RemoteProtocolError,
    RequestReceived,
)
from icapd.protocol.server import HEAD
from icapd.server.answering import adapted, echo
from icapd.server.lifetime import ECHO as _ECHO
from icapd.server.lifetime import FOLLOW as _FOLLOW
from icapd.server.lifetime import NONE as _NONE
from icapd.server.lifetime import UNMODIFIED as _UNMODIFIED
from icapd.server.lifetime import Lifetime
from icapd.server.site import Waiting
from icapd.server.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from icapd.server.message import Message


class IcapProtocol(Lifetime):
    """Serves one connection until either side ends it."""

    # -- Twisted's side --------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Take bytes and answer what they complete."""
        self.site.counts[RECEIVED] += len(data)
        if self._lingering:
            return
        conn = self.conn
        if conn.is_fresh:
            if not (self._paused or self.sender.congested) and self._answered_quickly(data):
                return
        elif self.plan is _ECHO and not (self._paused or conn.unread or self.sender.congested):
            conn.receive(data)
            self._pass_on(data)
            return
        conn.receive(data)
        self._advance()

    def _answered_quickly(self, data: bytes) -> bool:
        try:
            quick = self.site.quick.answer(data)
        except Exception:  # noqa: BLE001  # the long way meets it again, and answers for it
            return False
        if quick is None:
            return False
        answer, held_back, body = quick
        if body:
            self._begin_echo(data, body, answer)
            return True
        self.conn.answered_aside(held_back=held_back)
        self.since = self.site.tick
        self.sender.put(answer)  # counted already
        if self.sender.congested:
            self._set_paused(True)
        return True

    def _begin_echo(self, data: bytes, at: int, head: bytes) -> None:
        self.conn.echoed_aside(data, at)
        self.plan = _ECHO
        self.message = None
        self.sender.hold()
        self.sender.write(head)
        self._pass_on(memoryview(data)[at:])  # not copied

    def _pass_on(self, run: bytes | memoryview) -> None:
        """Send back what has just come of a body, `run`, unread if it is plain."""
        conn, sender = self.conn, self.sender
        limit = self.site.config.limits.body_bytes
        ended = None if limit and conn.body_bytes + len(run) > limit else conn.pass_on()
        if ended is None:
            self._advance()
            return
        if run:
            sender.write(run)
        sender.release()
        self.since = self.site.tick
        if ended:
            self.plan = _NONE
            self._rest()
        elif sender.congested:
            self._set_paused(True)

    # -- events to answers -----------------------------------------------------------------------

    def _advance(self, first: Callable[[], None] | None = None) -> None:
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

    def _take_all(self, first: Callable[[], None] | None) -> None:
        conn = self.conn
        if self.plan is _ECHO:
            self.sender.hold()
        if first is not None:
            first()
        while not self._halted and (event := conn.next_event()) is not None:
            if type(event) is RequestReceived:
                self._request(event)
            else:
                self._take(event)

    @property
    def _halted(self) -> bool:
        """Whether nothing more is to be taken for now."""
        return self._lingering or self._waits or self._is_full

    @property
    def _is_full(self) -> bool:
        """Whether what is at hand has to leave, or to find a place, before more of it comes."""
        if self.sender.congested and not self._reads_ahead:
            return True
        transfer = self.transfer
        return transfer is not None and transfer.halted

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
        elif self._paused or unread or self.sender.congested or self.transfer is not None:
            self._set_paused(self._is_full or conn.wants_pause)

    def _take(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._data(event)
        elif isinstance(event, BodyEnded):
            self._body_ended(event)
        elif isinstance(event, PreviewEnded):
            if self.transfer is not None:
                self.transfer.preview_ended()
            else:
                self._send_unmodified()  # headers decide: the preview is always enough
        elif isinstance(event, ConnectionEnded):
            self._linger()

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
            site.counts[OPTIONS] += 1
            site.counts[RESPONSES] += 1
            self.sender.write(conn.send_answer(service.options, site.banner))
        elif icap.method != service.method:
            self._send_error(405)
        else:
            if icap.preview is not None and icap.body is not None:
                site.counts[PREVIEWS] += 1
            self.decision_id = site.next_id()
            found = site.adapt(icap, service, self.decision_id)
            if type(found) is Waiting:
                self.message = found.message
                self._waits = True
                found.groups.then(lambda groups: self._told(found, groups))
            else:
                self._answer(found)

    def _told(self, waiting: Waiting, groups: tuple[str, ...] | None) -> None:
        self._waits = False
        self.resume(lambda: self._answer(waiting.finish(groups)))

    def _answer(self, message: Message) -> None:
        conn = self.conn
        self.message = message
        answer = message.answer
        icap = message.icap
        if type(answer) is UseAdapted:
            message.record(200)
            self.sender.write(conn.send_answer(adapted(answer, message.decision_id), self.site.banner))
        elif icap.body is not None and (message.follows or type(answer) is not UseVirgin):
            self.plan = _FOLLOW
            self.transfer = Transfer(self, message)
            if not message.follows:
                self.transfer.passes(answer)
        elif conn.may_204 and type(answer) is UseVirgin:
            if icap.body is None:
                message.record(204)
                self.sender.write(conn.send_unmodified(self.site.banner, message.decision_id))
            else:
                self.plan = _UNMODIFIED
        else:
            message.record(200)
            if icap.body is not None:
                self.plan = _ECHO
                self.sender.hold()
            self.sender.write(conn.send_answer(echo(icap, answer, message.decision_id), self.site.banner))

    def _data(self, event: DataReceived) -> None:
        limit = self.site.config.limits.body_bytes
        if limit and self.conn.body_bytes > limit:
            self._hit("body_bytes")
            raise RemoteProtocolError(413, "the body is larger than limits.body_bytes")
        if self.plan is _ECHO:
            self.sender.write(self.conn.send_data(event.wire))
        elif self.transfer is not None:
            self.transfer.data(event)

    def _body_ended(self, event: BodyEnded) -> None:
        if self.plan is _ECHO:
            self.sender.write(self.conn.send_end(event.trailer))
            self.sender.release()
            self.plan = _NONE
        elif self.transfer is not None:
            self.transfer.body_ended(event)
        elif self.plan is _UNMODIFIED:
            self._send_unmodified()

    # -- what the transfer asks for --------------------------------------------------------------

    def resume(self, step: Callable[[], None]) -> None:
        """Go on with `step`, for which the connection has waited; nothing if it has ended meanwhile."""
        if not self._lingering:
            self._advance(step)
