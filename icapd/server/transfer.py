"""One body on its way: received into a spool, scanned, and sent on as far as it may be.

    receiving ─ end of body ─▶ scanning ─ verdict ─▶ passing ─▶ over
        └─ it cannot be read whole (too large, a stream, no room): policy ─▶ passing, or over

Over TCP's and ICAP's rules watches the connection; how much may go out when says Delivery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from icapd.adaptation import Scanned, UseAdapted, UseVirgin, too_large
from icapd.metrics.words import CONTINUES, LIMIT, LIMITS
from icapd.policy.media import content_length
from icapd.protocol.chunked import chunk
from icapd.protocol.server import AWAITING, BODY, PREVIEW
from icapd.server.answering import adapted, echo
from icapd.server.delivery import Delivery
from icapd.server.message import NO_ANSWER
from icapd.server.site import TICK
from icapd.streams import begins_as, says_stream, shows_early
from icapd.transaction import Point
from icapd.verdicts import CONTENT, Finding, Kind, ScanError

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from icapd.adaptation import Answer
    from icapd.protocol import BodyEnded, DataReceived, ServerConnection
    from icapd.server.message import Message
    from icapd.server.sending import DirectSender, TlsSender
    from icapd.server.site import Site

_PIECE = 128 * 1024  # bytes read from the spool for one chunk
_PREVIEW_PAUSE = 2.0  # s; a preview that pauses so long begins a stream, if its header says so
_DRIP = 16 * 1024  # bytes/s; what comes faster is no drip
_SNIFFED = 4096
_SQUIDS = 65_535  # bytes of the longest body that Squid keeps a copy of (BodyPipe::MaxCapacity)


class Line(Protocol):
    """What a transfer needs of its connection."""

    site: Site
    conn: ServerConnection
    sender: DirectSender | TlsSender

    def resume(self, step: Callable[[], None]) -> None:
        """Take `step`, which came from elsewhere, and whatever can be done after it."""

    def transferred(self) -> None:
        """The transfer is over."""

    def cut(self) -> None:
        """End the connection without a last-chunk."""


class Transfer:
    """`halted`: nothing more of the body should be taken for now."""

    def __init__(self, line: Line, message: Message) -> None:
        site = line.site
        tx = message.tx
        self._line = line
        self._conn = line.conn
        self._sender = line.sender
        self._message = message
        self._spool = site.spools.open()
        response = tx.response if tx.point is Point.RESPMOD else None
        length = None if response is None else content_length(response.headers)
        # Squid allows 204 for shorter bodies only; a client that keeps a copy of so long a one can wait
        whole = response is None or (length is not None and length > _SQUIDS and b"204" in message.icap.allow)
        self._delivery = Delivery(site.pace, whole=whole, now=site.seconds)
        self._media = None if response is None else says_stream(response)
        self._unending = response is not None and length is None
        self._max_size = message.generation.max_size
        self._answer: Answer | None = None  # what passes, once that is decided
        self._scan: Deferred[Scanned] | None = None
        self._begun = False  # our 200 has
        self._trailer: bytes | None = None  # once the body has ended
        self._verbatim = False
        self._over = False
        self._began = self._since = site.tick  # _since: of what it waits for now

    @classmethod
    def behind_echo(cls, line: Line, message: Message) -> Transfer:
        """Take over an echo whose client does not read: what it sends meanwhile is kept, as it was framed."""
        transfer = cls(line, message)
        transfer._begun = transfer._verbatim = True
        transfer._answer = UseVirgin()
        transfer._delivery.freed = True
        transfer._spool.is_keyed = False
        return transfer

    @property
    def halted(self) -> bool:
        """Whether what has come is still to find a place."""
        return not self._spool.settled

    @property
    def scanning(self) -> bool:
        """Whether it waits for a verdict."""
        return self._scan is not None

    def passes(self, answer: Answer) -> None:
        """Send on what comes, unread, as `answer` says."""
        self._answer = answer
        self._delivery.freed = True
        self._spool.is_keyed = False
        self._settle()

    # -- what comes ------------------------------------------------------------------------------

    def preview_ended(self) -> None:
        """The preview was not all."""
        if self._answer is None and self._is_stream():
            self._give_up(Finding(Kind.STREAM, self._media or "", CONTENT))
        elif self._answer is None:
            self._continue()
            self.pump()
        else:
            self._settle()

    def data(self, event: DataReceived) -> None:
        """Take a part of the body."""
        delivery, spool = self._delivery, self._spool
        if self._answer is not None and self._begun and delivery.is_done and not self._sender.congested:
            self._sender.write(self._conn.send_data(event.wire if self._verbatim else chunk(event.payload)))
            return
        before = spool.size
        settled = spool.add(event.wire) if self._verbatim else spool.add_run(event.wire, event.spans)
        delivery.received += spool.size - before
        if not settled:
            self._since = self._line.site.tick
            self._line.site.spools.wait(spool, lambda: self._line.resume(self.pump))
        if self._answer is None:
            self._look(settled=settled)
        if not self._over:
            self.pump()

    def _look(self, *, settled: bool) -> None:
        """Give up what is too large, or shows that it will not end."""
        size = self._delivery.received
        if self._max_size and size > self._max_size:
            self._give_up(too_large(size))
        elif settled and self._media and self._conn.state is BODY:
            if self._is_stream():
                self._give_up(Finding(Kind.STREAM, self._media, CONTENT))
            elif size >= _SNIFFED:
                self._media = None  # it only says so

    def _is_stream(self) -> bool:
        return self._media is not None and begins_as(self._media, self._spool.read(0, _SNIFFED))

    def body_ended(self, event: BodyEnded) -> None:
        """All of it is here."""
        self._trailer = event.trailer
        if self._answer is not None:
            self._settle()
            return
        self._spool.end()
        self._since = self._line.site.tick
        scan = self._message.scan(self._spool)
        verdict: list[Scanned] = []
        scan.addCallback(verdict.append)
        if verdict:
            self._conclude(verdict[0])
        elif not self._over:
            self._scan = scan
            scan.addCallback(lambda _: self._told(scan, verdict[0]))
            self.pump()

    # -- the verdict -----------------------------------------------------------------------------

    def _told(self, scan: Deferred[Scanned], scanned: Scanned) -> None:
        if self._scan is scan:  # else the verdict came too late, or nobody waits for it
            self._scan = None
            self._line.resume(lambda: self._conclude(scanned))

    def _conclude(self, scanned: Scanned) -> None:
        self._carry_out(self._message.conclude(scanned))

    def _give_up(self, finding: Finding) -> None:
        self._carry_out(self._message.give_up(finding))

    def _carry_out(self, answer: Answer) -> None:
        message = self._message
        if not isinstance(answer, UseAdapted):
            self.passes(answer)
        elif self._begun:
            message.record(200, late=True)
            self._line.site.late.note(message.tx, message.url, message.decision, message.decision_id)
            self._end()
            self._line.cut()
        else:
            message.record(200)
            self._end()
            icap = adapted(answer, message.decision_id)
            self._sender.write(self._conn.send_answer(icap, self._line.site.banner))

    # -- what goes out ---------------------------------------------------------------------------

    def _settle(self) -> None:
        """Answer what passes: in a word if that is allowed, else by sending it back."""
        conn = self._conn
        state = conn.state
        if not self._begun:
            if type(self._answer) is UseVirgin and conn.may_204 and state is not BODY:
                self._message.record(204)
                self._end()
                self._sender.write(conn.send_unmodified(self._line.site.banner, self._message.decision_id))
                return
            if state is PREVIEW:
                return  # it is the preview's end that is answered
            if state is AWAITING:
                self._continue()
            self._begin(self._answer or UseVirgin())
        self._message.record(200)
        self.pump()

    def _continue(self) -> None:
        self._line.site.counts[CONTINUES] += 1
        self._sender.write(self._conn.send_continue())

    def _begin(self, answer: Answer) -> None:
        self._begun = True
        icap = echo(self._message.icap, answer, self._message.decision_id)
        self._sender.write(self._conn.send_answer(icap, self._line.site.banner))

    def pump(self) -> None:
        """Send what is due, as long as the client takes it."""
        state = self._conn.state
        if self._over or state is PREVIEW or state is AWAITING:  # an answer now would be one to the preview
            return
        delivery, sender = self._delivery, self._sender
        now = self._line.site.seconds
        while not sender.congested and (left := delivery.left(now)) > 0:
            if not self._begun:
                self._begin(self._message.answer)
            piece = self._spool.read(delivery.sent, min(left, _PIECE))
            delivery.sent += len(piece)
            sender.write(self._conn.send_data(piece if self._verbatim else chunk(piece)))
        if self._answer is None or not self._begun or not delivery.is_done:
            return
        if self._trailer is not None:
            trailer = self._trailer
            self._end()
            sender.write(self._conn.send_end(trailer))
        elif delivery.received and self._spool.settled:  # what still comes is sent as it comes
            self._spool.close()
            self._spool = self._line.site.spools.open()
            self._spool.is_keyed = False
            delivery.received = delivery.sent = 0

    # -- time, and the end -----------------------------------------------------------------------

    def tick(self) -> None:
        """Once a TICK: end what has waited too long, and send what has become due."""
        site = self._line.site
        age = (site.tick - self._since) * TICK
        if self._scan is not None:
            if age >= site.config.limits.scan:
                scan, self._scan = self._scan, None
                scan.cancel()
                site.counts[LIMIT + LIMITS.index("scan")] += 1
                error = ScanError(CONTENT, "the scan took too long", "closed")
                self._conclude(Scanned(errors=(error,)))
        elif self._answer is None:
            self._tick_receiving(age)
        self.pump()

    def _tick_receiving(self, age: float) -> None:
        site = self._line.site
        if not self._spool.settled:
            if age >= site.config.spool.wait:
                site.counts[LIMIT + LIMITS.index("spool")] += 1
                self._give_up(Finding(Kind.UNSCANNABLE, "no room to keep it", CONTENT))
            return
        whole = (site.tick - self._began) * TICK
        if self._conn.state is PREVIEW:
            if whole >= _PREVIEW_PAUSE and self._is_stream():
                self._give_up(Finding(Kind.STREAM, self._media or "", CONTENT))
            return
        after = site.config.delivery.stream_after
        drips = self._unending and whole >= after and self._delivery.received < _DRIP * whole
        if drips and shows_early(self._spool.read(0, _SNIFFED)):
            self._give_up(Finding(Kind.STREAM, "it drips", CONTENT))

    @property
    def is_unending(self) -> bool:
        """Whether nothing says that the body it receives will end."""
        return self._answer is None and self._unending

    def fell_silent(self) -> None:
        """Nothing of a body that is_unending has come for limits.body."""
        kind = Kind.STREAM if shows_early(self._spool.read(0, _SNIFFED)) else Kind.UNSCANNABLE
        self._give_up(Finding(kind, "it pauses", CONTENT))

    def drop(self, status: int = NO_ANSWER) -> None:
        """Nobody waits for it any more, or it is answered by `status`."""
        if not self._over:
            self._message.record(status)
            self._end()

    def _end(self) -> None:
        self._over = True
        scan, self._scan = self._scan, None
        if scan is not None:
            scan.cancel()
        self._spool.close()
        self._line.transferred()
