"""One connection to clamd, kept for many questions (IDSESSION), one at a time.

A body is sent by INSTREAM, or over a Unix socket as a descriptor (FILDES). An answer that comes before
all is sent ends the sending; it is also looked for when the connection breaks under what is being sent,
for that is how clamd refuses a stream that is too long.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Protocol, connectionDone
from zope.interface import implementer

from icapd.adapters.clam_replies import MAX_REPLY

if TYPE_CHECKING:
    from twisted.python.failure import Failure

_PIECE = 128 << 10  # bytes; what Twisted sends in one call
_LENGTH = struct.Struct("!I")
_END = _LENGTH.pack(0)


class ClamLost(Exception):  # noqa: N818  (it may be nobody's error)
    """The connection ended without an answer."""


class ClamGarbage(Exception):  # noqa: N818
    """What came is no answer of clamd's."""


@implementer(IPullProducer)
class _Stream:
    """The content of a descriptor as chunks of INSTREAM, as fast as they are taken."""

    def __init__(self, session: ClamSession, fd: int, size: int) -> None:
        self._session = session
        self._fd = fd
        self._size = size
        self._sent = 0

    def resumeProducing(self) -> None:  # noqa: N802
        """Send the next piece."""
        wanted = min(_PIECE, self._size - self._sent)
        try:
            data = os.pread(self._fd, wanted, self._sent)
        except OSError as error:
            self._session.broken(ClamGarbage(f"cannot read what is to be scanned: {error.strerror}"))
            return
        if len(data) != wanted:
            self._session.broken(ClamGarbage("what is to be scanned is shorter than it was"))
            return
        self._sent += wanted
        chunk = _LENGTH.pack(wanted) + data if data else b""
        if self._sent < self._size:
            self._session.send(chunk)
        else:
            self._session.send(chunk + _END)
            self._session.sent()

    def stopProducing(self) -> None:  # noqa: N802
        """Nothing to do: who owns the descriptor closes it."""


class ClamSession(Protocol):
    """`alive` while it can take a question. Cancelling the answer of one ends the connection."""

    transport: Any

    def __init__(self) -> None:
        self.alive = False
        self.questions = 0
        self._received = b""
        self._answer: Deferred[bytes] | None = None
        self._sending = False
        self._spare = -1

    def connectionMade(self) -> None:  # noqa: N802
        """Begin the session."""
        self.alive = True
        try:
            self._send_now(b"zIDSESSION\0")
        except OSError:
            self.end()

    def ask(self, command: str) -> Deferred[bytes]:
        """Ask what is answered in one line: PING, VERSION."""
        answer = self._begin()
        self.send(b"z%b\0" % command.encode("ascii"))
        return answer

    def stream(self, fd: int, size: int) -> Deferred[bytes]:
        """Have `size` bytes of a descriptor scanned, sent from offset 0; it must stay open meanwhile."""
        answer = self._begin()
        self._sending = True
        # When the connection breaks, Twisted closes it before it tells us; the answer is read from this.
        self._spare = os.dup(self.transport.getHandle().fileno())
        self.send(b"zINSTREAM\0")
        self.transport.registerProducer(_Stream(self, fd, size), streaming=False)
        return answer

    def pass_on(self, fd: int) -> Deferred[bytes]:
        """Have a descriptor scanned by clamd itself, which reads its file from offset 0."""
        answer = self._begin()
        try:
            # The descriptor must come with a byte of its own, after the command.
            self._send_now(b"zFILDES\0")
            socket.send_fds(self.transport.getHandle(), [b"\0"], [fd])
        except OSError as error:
            self.broken(ClamLost(f"cannot pass a descriptor: {error.strerror}"))
        return answer

    def _send_now(self, data: bytes) -> None:
        """Write a few bytes past Twisted's buffer, which is empty between two questions."""
        if self.transport.getHandle().send(data) != len(data):
            raise OSError(errno.EAGAIN, "the connection takes nothing")

    def send(self, data: bytes) -> None:
        """Write to the connection."""
        self.transport.write(data)

    def sent(self) -> None:
        """Take note that all of a stream has been written."""
        self._sending = False
        self.transport.unregisterProducer()

    def broken(self, error: Exception) -> None:
        """End the connection, and the question with `error`."""
        self.end()
        if (answer := self._take_answer()) is not None:
            answer.errback(error)

    def end(self) -> None:
        """Close the connection at once."""
        self.alive = False
        if self.transport is not None:
            self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Collect an answer."""
        self._received += data
        line, terminator, rest = self._received.partition(b"\0")
        if len(line) > MAX_REPLY:
            self.broken(ClamGarbage(f"clamd's answer does not end within {MAX_REPLY} bytes"))
        if not terminator or not self.alive:
            return
        number, colon, text = line.partition(b": ")
        if not colon or number != b"%d" % self.questions or rest or self._answer is None:
            self.broken(ClamGarbage(f"clamd answered {line[:60].decode('latin-1')!a}"))
            return
        self._received = b""
        if self._sending:  # it will not read the rest
            self.end()
        if (answer := self._take_answer()) is not None:
            answer.callback(text)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """Give up, unless an answer came at the last moment."""
        if self._spare >= 0:
            with suppress(OSError):
                self.dataReceived(os.read(self._spare, MAX_REPLY))
        self.alive = False
        if (answer := self._take_answer()) is not None:
            answer.errback(ClamLost(f"clamd gave no answer: {reason.getErrorMessage()}"))

    def _begin(self) -> Deferred[bytes]:
        if self._answer is not None:
            raise RuntimeError("one question at a time")
        self.questions += 1
        self._answer = Deferred(lambda _: self._forget())
        return self._answer

    def _forget(self) -> None:
        self._answer = None
        self._take_answer()
        self.end()

    def _take_answer(self) -> Deferred[bytes] | None:
        answer, self._answer = self._answer, None
        self._sending = False
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
        return answer
