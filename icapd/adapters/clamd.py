"""The adapter `clamd`: what is inside a message is scanned by ClamAV's daemon.

Beyond its limits clamd says OK of what it has not seen, unless it is told to alert (AlertExceedsMax). Whether
it is told so is found out, and only then is more than a stream's worth given to it.
"""

from __future__ import annotations

import gzip
import os
import re
import tempfile
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as _TimeoutError
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.logger import Logger

from icapd.adapters.breaker import Breaker
from icapd.adapters.clam_options import ClamdOptions
from icapd.adapters.clam_replies import Failed, Found, Reply, database_time, read_reply
from icapd.adapters.clam_session import ClamGarbage, ClamLost, ClamSession
from icapd.adapters.model import State
from icapd.adapters.pool import Pool
from icapd.errors import AdapterError
from icapd.verdicts import Finding, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icapd.adapters.model import Xaction
    from icapd.content.model import Item
    from icapd.transaction import Transaction

reactor: Any = _reactor
_log = Logger(namespace="icapd")
_CONNECT = 3.0  # s
_PROBE = 3.0  # s for clamd to answer what it need not think about
_IDLE = 20.0  # s; clamd closes what is idle after CommandReadTimeout, 30 by default
_VERSION = re.compile(rb"ClamAV [!-~][ -~]{0,200}")
_UNREACHED = (ConnectError, DNSLookupError, OSError)
_HIDES = "says OK of what is beyond its limits: set `AlertExceedsMax yes` in clamd.conf"
_NEST = 101  # one more than MaxRecursion can be


def _nested() -> bytes:
    """Return what is deeper than clamd can be set to look."""
    content = b"icapd asks whether limits alert"
    for _ in range(_NEST):
        content = gzip.compress(content, mtime=0)
    return content


class Clamd:
    """One clamd, asked over at most `concurrency` connections, and not at all while it does not answer."""

    options = ClamdOptions

    def __init__(self, name: str, options: Mapping[str, object]) -> None:
        self.name = name
        self.tag = ""
        self._version = ""
        try:
            self._options = ClamdOptions.model_validate(dict(options))
        except ValidationError as error:
            lines = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise AdapterError("; ".join(lines)) from None
        tcp = self._options.tcp
        self._place = tcp.text if tcp else str(self._options.socket)
        self._endpoint: Any = (
            HostnameEndpoint(reactor, tcp.host, tcp.port, timeout=_CONNECT)
            if tcp
            else UNIXClientEndpoint(reactor, str(self._options.socket), timeout=_CONNECT)
        )
        self._takes_descriptors = tcp is None and self._options.transfer != "stream"
        self._alerts: bool | None = None  # at limits; None is not known
        self._pool: Pool[ClamSession] = Pool(self._connect, self._options.concurrency, _IDLE, reactor.seconds)
        self._breaker = Breaker(self._probe, self._told, reactor)
        self._checking: Any = None

    def wants(self, tx: Transaction) -> bool:
        """It can say something of everything."""
        del tx
        return True

    async def start(self) -> None:
        """Ask for the version; without an answer go on, and ask again and again."""
        await self._breaker.suspect()
        self._checking = reactor.callLater(self._options.check, self._check)

    async def stop(self) -> None:
        """Close all connections and ask no more."""
        if self._checking is not None and self._checking.active():
            self._checking.cancel()
        self._breaker.stop()
        self._pool.refuse(ClamLost("icapd has let go of clamd"))

    async def check(self) -> str:
        """Say what it is, and that it alerts at its limits. Raises AdapterError if it is not so."""
        try:
            await self._probe()
        except (ClamLost, ClamGarbage) as error:
            mend = "see that clamav-daemon runs and has a database, and that this user may use its socket"
            raise AdapterError(f"{error} ({self._place}); {mend}") from None
        if not self._alerts:
            raise AdapterError(f"clamd ({self._version}) {_HIDES}")
        return f"{self._version} at {self._place}, alerts at its limits"

    def state(self) -> State:
        """Tell whether it answers, what it is, and when its signatures were made."""
        breaker = self._breaker
        return State(not breaker.is_open, breaker.why, self._version, database_time(self._version))

    async def scan(self, xaction: Xaction) -> Verdict:
        """Have every different item of the message scanned, within one deadline for all."""
        if self._breaker.is_open:
            return Verdict(error=self._breaker.why)
        items, left = _different(xaction.report.items, self._options.max_items)
        deadline = reactor.seconds() + self._options.timeout
        findings: list[Finding] = []
        for item in items:
            reply = await self._reply(item, deadline)
            if isinstance(reply, Failed):
                return Verdict(tuple(findings), reply.text)
            if isinstance(reply, Found):
                findings.append(Finding(reply.kind, reply.threat, self.name, item.path))
        if left:
            findings.append(Finding(Kind.LIMIT, f"{left} items more than max_items", self.name))
        return Verdict(tuple(findings))

    # -- one item ----------------------------------------------------------------------------------

    async def _reply(self, item: Item, deadline: float) -> Reply:
        """Ask about one item: as a descriptor, which costs less, or as a stream if that is refused."""
        large = item.size > self._options.max_stream
        if self._takes_descriptors and (self._alerts or not large):
            reply = await self._timed(item, deadline, descriptor=True)
            late = reactor.seconds() > deadline - 0.01
            if not isinstance(reply, Failed) or self._breaker.is_open or late:
                return reply
            if large:
                return Found(Kind.LIMIT, "larger than max_stream")
            streamed = await self._timed(item, deadline, descriptor=False)
            if not isinstance(streamed, Failed):
                self._refuse_descriptors(reply.text)
            return streamed
        if large:
            return Found(Kind.LIMIT, "larger than max_stream")
        return await self._timed(item, deadline, descriptor=False)

    async def _timed(self, item: Item, deadline: float, *, descriptor: bool) -> Reply:
        """Ask, and again over a new connection if there was no answer; whatever fails is counted."""
        asked: list[ClamSession] = []
        question = Deferred.fromCoroutine(self._asked(item, asked, descriptor=descriptor))
        try:
            raw = await question.addTimeout(max(0.001, deadline - reactor.seconds()), reactor)
        except _TimeoutError:
            self._breaker.suspect()
            if not asked:
                return Failed("clamd is busy: no turn came in time")
            return Failed(f"clamd gave no answer within {self._options.timeout:g} s")
        except (ClamLost, ClamGarbage, *_UNREACHED) as error:
            why = _why(error)
            self._breaker.bad(why)
            return Failed(why)
        reply = read_reply(raw)
        if not isinstance(reply, Failed):
            self._breaker.good()
        return reply

    async def _asked(self, item: Item, asked: list[ClamSession], *, descriptor: bool) -> bytes:
        try:
            return await self._once(item, asked, descriptor=descriptor, fresh=False)
        except ClamLost:
            if self._breaker.is_open:
                raise
        return await self._once(item, asked, descriptor=descriptor, fresh=True)

    async def _once(self, item: Item, asked: list[ClamSession], *, descriptor: bool, fresh: bool) -> bytes:
        """Ask over one connection; `asked` gets it when it is our turn."""
        session = await self._pool.take(fresh=fresh)
        asked.append(session)
        try:
            if descriptor:
                return await session.pass_on(item.fd)
            return await session.stream(item.fd, item.size)
        finally:
            self._pool.give(session)

    # -- clamd itself --------------------------------------------------------------------------------

    async def _connect(self) -> ClamSession:
        try:
            return await connectProtocol(self._endpoint, ClamSession())  # type: ignore[no-any-return]
        except ConnectingCancelledError as error:  # Twisted's own kind, which its timeouts do not know
            raise CancelledError from error

    async def _probe(self) -> None:
        """Ask clamd whether it is there, what it is, and once whether it alerts at its limits."""
        try:
            session = await self._connect()
        except _UNREACHED as error:
            raise ClamLost(_why(error)) from error
        try:
            if await _soon(session.ask("PING")) != b"PONG":
                raise ClamGarbage("clamd answered PING with something else than PONG")
            version = await _soon(session.ask("VERSION"))
            if _VERSION.fullmatch(version) is None:
                raise ClamGarbage(f"clamd answered VERSION with {version[:60]!r}")
            if self._alerts is None:
                await self._find_limits(session)
        except _TimeoutError:
            raise ClamLost(f"clamd gave no answer within {_PROBE:g} s") from None
        finally:
            session.end()
        self._version = version.decode("ascii")
        self.tag = f"{self._version} {self._options.max_stream} {self._options.max_items}"

    async def _find_limits(self, session: ClamSession) -> None:
        nested = _nested()
        with tempfile.TemporaryFile() as file:
            file.write(nested)
            file.flush()
            reply = read_reply(await _soon(session.stream(file.fileno(), len(nested))))
        if isinstance(reply, Failed):
            raise ClamGarbage(reply.text)
        self._alerts = isinstance(reply, Found)
        if not self._alerts:
            self._report(f"it {_HIDES}", False)

    def _check(self) -> None:
        """Look after it now and then: its database may be a new one."""
        self._pool.sweep()
        self._checking = reactor.callLater(self._options.check, self._check)
        self._breaker.suspect()

    def _told(self, why: str | None) -> None:
        """Hear from the breaker."""
        if why is None:
            self._report(f"answers ({self.tag})", True)
            return
        self._alerts = None  # it may come back with other settings
        self._report(why, False)
        self._pool.refuse(ClamLost(why))

    def _refuse_descriptors(self, why: str) -> None:
        self._takes_descriptors = False
        self._report(f"takes no descriptors, so all is streamed to it ({why})", False)

    def _report(self, what: str, good: bool) -> None:
        log = _log.info if good else _log.error
        log("adapter {name}: clamd at {place}: {what}", name=self.name, place=self._place, what=what)


def _soon(answer: Deferred[bytes]) -> Deferred[bytes]:
    return answer.addTimeout(_PROBE, reactor)


def _different(items: Iterable[Item], most: int) -> tuple[list[Item], int]:
    """Return the items of different content, not more than `most`, and how many were left out."""
    different = list({item.sha256: item for item in reversed(tuple(items))}.values())[::-1]
    return different[:most], max(0, len(different) - most)


def _why(error: BaseException) -> str:
    if isinstance(error, ClamLost | ClamGarbage):
        return str(error)
    reason = getattr(error, "osError", None) or error  # of Twisted's: an exception, or a number alone
    said = os.strerror(reason) if isinstance(reason, int) else str(reason)
    return f"clamd cannot be reached: {said.rstrip('.')}"[:200]
