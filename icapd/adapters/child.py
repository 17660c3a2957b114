"""One child process that inspects bodies, as the server sees it: a socket, a process, an answer."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from icapd.content import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from icapd.adapters.model import Body
    from icapd.content.model import Report, Shape

_START = (  # isolated, but with the paths that this process has
    "import sys; sys.path[:] = sys.argv[2:]; from icapd.content.child import main; "
    "sys.exit(main(int(sys.argv[1])))"
)
_READ = 1 << 14  # bytes of an answer at a time: each read takes room for so many
_REAP = 0.01  # s between looks whether a killed process is gone


class ChildDied(Exception):  # noqa: N818
    """The child ended while it had a body."""


class ChildLate(Exception):  # noqa: N818
    """The child took longer than a body may, and was killed."""


@implementer(IReadDescriptor)
class Child:
    """One process. `idle` is called when it can take a body, `lost` once, when it is gone and reaped."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,  # noqa: ANN401  (several interfaces of Twisted's at once)
        settings: dict[str, Any],
        idle: Callable[[Child], None],
        lost: Callable[[Child], None],
    ) -> None:
        """Start the process. Raises OSError if that cannot be done."""
        self.bodies = 0
        self.is_ready = False
        self._reactor, self._idle, self._lost = reactor, idle, lost
        self._seconds: float = settings["bounds"]["seconds"]
        self._frames = wire.Frames()
        self._fds: list[int] = []
        self._value: Any = None
        self._marks = 0
        self._asked: Deferred[Report] | None = None
        self._body: int | None = None
        self._late: IDelayedCall | None = None
        self._was_late = False
        self._link, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(  # noqa: S603  (ourselves)
                [sys.executable, "-I", "-c", _START, str(theirs.fileno()), *filter(None, sys.path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError:
            self._link.close()
            raise
        finally:
            theirs.close()
        self.pid = self._process.pid
        self._link.setblocking(False)
        self._link.send(wire.frame(settings | {"parent": os.getpid()}))
        reactor.addReader(self)

    def ask(self, shape: Shape, body: Body) -> Deferred[Report]:
        """Hand over a body. Fails with ChildDied or ChildLate; cancelled, the answer is thrown away."""
        asked: Deferred[Report] = Deferred(self._forget)
        self._asked = asked
        self._body = os.dup(body.fileno())
        self.bodies += 1
        order = wire.order(shape, body.size)
        self._late = self._reactor.callLater(self._seconds + 1, self._too_late)
        try:
            sent = socket.send_fds(self._link, [order], [self._body])
        except OSError:
            sent = 0
        if sent < len(order):  # heads are bounded far below the socket's buffer: something is wrong with it
            self.kill()
        return asked

    def kill(self) -> None:
        """End it now; `lost` follows."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def retire(self) -> None:
        """Let it end by itself."""
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_WR)

    def _forget(self, _deferred: Deferred[Report]) -> None:
        self._asked = None

    def _too_late(self) -> None:
        self._late = None
        self._was_late = True
        self.kill()

    # --- What Twisted calls ---------------------------------------------------------------

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._link.fileno()

    def logPrefix(self) -> str:  # noqa: N802
        """Return the name in Twisted's log."""
        return "content child"

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        """Let go of the socket."""

    def doRead(self) -> None:  # noqa: N802
        """Take what came: a part of an answer, descriptors, or the end."""
        try:
            data, fds, flags, _ = socket.recv_fds(self._link, _READ, wire.BATCH, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, fds, flags = b"", [], 0
        self._fds += fds
        if not data:
            self._end()
            return
        try:
            self._frames.feed(data)
            self._progress()
        except (ValueError, LookupError, TypeError, AttributeError, StopIteration) as error:
            self._log.error("a content child answered what is none: {error!r}", error=error)
            self.kill()
        if flags & socket.MSG_CTRUNC:  # out of descriptors: some were lost
            self.kill()

    def _progress(self) -> None:
        if self._value is None:
            self._value = self._frames.take()
            if self._value is None:
                return
            if not self.is_ready:
                self._value = None
                self.is_ready = True
                self._idle(self)
                return
            self._marks = -(-wire.descriptors_of(self._value) // wire.BATCH)
        self._marks -= self._frames.skip(self._marks)
        if self._marks or self._body is None:
            return
        if wire.descriptors_of(self._value) != len(self._fds):
            raise ValueError("descriptors are missing")
        self._answer()

    def _answer(self) -> None:
        """Hand the report on; the descriptors are its from here."""
        body, asked = self._body, self._asked
        assert body is not None  # noqa: S101
        report = wire.read_answer(self._value, body, self._fds)
        self._fds = []
        if all(item.fd != body for item in report.items):
            os.close(body)
        self._body = self._value = self._asked = None
        self._stop_clock()
        if asked is None:
            report.close()
        else:
            asked.callback(report)
        self._idle(self)

    def _stop_clock(self) -> None:
        late, self._late = self._late, None
        if late is not None and late.active():
            late.cancel()

    def _end(self) -> None:
        """See to it that it is gone, that nothing of it stays, and that who waits hears of it."""
        self._reactor.removeReader(self)
        self._link.close()
        self._stop_clock()
        for fd in (*self._fds, *(() if self._body is None else (self._body,))):
            os.close(fd)
        self._fds, self._body = [], None
        self.kill()
        asked, self._asked = self._asked, None
        self._reap()
        if asked is not None:
            asked.errback(ChildLate() if self._was_late else ChildDied())

    def _reap(self) -> None:
        if self._process.poll() is None:
            self._reactor.callLater(_REAP, self._reap)
        else:
            self._lost(self)
