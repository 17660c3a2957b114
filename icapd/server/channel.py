"""Messages between supervisor, nursery and workers: JSON objects, with descriptors, over a Unix socket.

SOCK_SEQPACKET: a message comes whole or not at all, whoever is killed. The end of the channel is the end of
the process at its other end.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.logger import Logger
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.python.failure import Failure

MAX = 160 * 1024  # bytes of a message: less than the kernel's least buffer
_FDS = 4
_READS = 64  # before others have their turn
Message = dict[str, Any]
_log = Logger(namespace="icapd")


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a new channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def post(link: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send one message. Raises OSError; BlockingIOError if it must wait."""
    socket.send_fds(link, [json.dumps(message).encode("ascii")], fds)


def fetch(link: socket.socket) -> tuple[Message | None, list[int]]:
    """Receive one message and its descriptors; None at the end. Raises BlockingIOError."""
    try:
        data, fds, _, _ = socket.recv_fds(link, MAX + 1024, _FDS, socket.MSG_CMSG_CLOEXEC)
    except (BlockingIOError, TimeoutError):
        raise
    except OSError:
        return None, []
    return (json.loads(data), fds) if data else (None, fds)


@implementer(IReadWriteDescriptor)
class Channel:
    """One end, watched by the reactor. `heard` gets messages, `lost` is called once, at the end."""

    def __init__(
        self,
        link: socket.socket,
        reactor: Any,  # noqa: ANN401
        heard: Callable[[Message, list[int]], None],
        lost: Callable[[], None],
    ) -> None:
        link.setblocking(False)
        self._link, self._reactor = link, reactor
        self._heard, self._lost = heard, lost
        self._unsent: deque[tuple[Message, list[int]]] = deque()
        self._unheard: deque[tuple[Message, list[int]]] = deque()
        self._open = True
        reactor.addReader(self)

    def send(self, message: Message, fd: int | None = None) -> bool:
        """Send, now or later. False if nobody is there; else the descriptor is the channel's from here."""
        fds = [] if fd is None else [fd]
        if not self._open:
            return False
        if not self._unsent:
            try:
                post(self._link, message, fds)
            except BlockingIOError:
                pass
            except OSError as error:
                _log.debug("a message was not sent: {error}", error=error)
                return False
            else:
                _close(fds)
                return True
        self._unsent.append((message, fds))
        self._reactor.addWriter(self)
        return True

    def wait(self, kinds: frozenset[str], seconds: float) -> Message | None:
        """Stop the whole process until a message of one of `kinds` comes; others are heard later."""
        end = time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                self._link.settimeout(left)
                message, fds = fetch(self._link)
                if message is None:
                    break  # doRead sees it too
                if message["kind"] in kinds:
                    return message
                self._unheard.append((message, fds))
        except (TimeoutError, BlockingIOError):
            pass
        finally:
            self._link.setblocking(False)
            if self._unheard:
                self._reactor.callLater(0, self._catch_up)
        return None

    def redirect(self, heard: Callable[[Message, list[int]], None], lost: Callable[[], None]) -> None:
        """Have others hear from now on."""
        self._heard, self._lost = heard, lost

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self._open

    def close(self) -> None:
        """End it; `lost` is not called."""
        if self._open:
            self._open = False
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)
            while self._unsent:
                _close(self._unsent.popleft()[1])
            self._link.close()

    def _catch_up(self) -> None:
        while self._unheard:
            self._hear(*self._unheard.popleft())

    def _hear(self, message: Message, fds: list[int]) -> None:
        try:
            self._heard(message, fds)
        except Exception:  # noqa: BLE001  # one message's fault must not end the reading of others
            _log.failure("a message between processes was not understood")

    # --- What Twisted calls ---------------------------------------------------------------

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._link.fileno()

    def logPrefix(self) -> str:
        """Return a name for its log."""
        return "channel"

    def doRead(self) -> None:
        """Take what came."""
        self._catch_up()
        for _ in range(_READS):
            if not self._open:
                return
            try:
                message, fds = fetch(self._link)
            except BlockingIOError:
                return
            if message is None:
                self.close()
                self._lost()
                return
            self._hear(message, fds)

    def doWrite(self) -> None:
        """Send what could not be sent before."""
        while self._unsent:
            message, fds = self._unsent[0]
            try:
                post(self._link, message, fds)
            except BlockingIOError:
                return
            except OSError as error:
                _log.debug("a message was not sent: {error}", error=error)
            self._unsent.popleft()
            _close(fds)
        self._reactor.removeWriter(self)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends."""
        del reason


def _close(fds: list[int]) -> None:
    for fd in fds:
        with suppress(OSError):
            os.close(fd)
