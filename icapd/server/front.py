"""Where connections come in when there are workers: accepted in one place, each handed to one worker.

Squid keeps few connections for long, so it matters where each goes. Left to the kernel they gather: it knows
nothing of how many a process has already.
"""

from __future__ import annotations

import errno
import ipaddress
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from twisted.python.failure import Failure

    from icapd.config import Config

_AT_ONCE = 64  # before others have their turn
_PAUSE = 0.2  # s, when the process is out of descriptors
_GONE = frozenset({errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.EINTR})
_log = Logger(namespace="icapd")


class Peers:
    """Who may connect."""

    def __init__(self, config: Config) -> None:
        self._networks = tuple(ipaddress.ip_network(text) for text in config.peers)
        self._refused: dict[str, int] = {}
        self.strangers = 0  # connections refused so far
        self.crowded = 0  # connections too many since the last report

    def admit(self, host: str) -> bool:
        """Whether `host` is one of `peers`; if not, that is logged."""
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None) or address
        if any(mapped in network for network in self._networks):
            return True
        self.strangers += 1
        name = str(mapped)
        self._refused[name] = self._refused.get(name, 0) + 1
        return False

    def report(self) -> None:
        """Log who was refused since the last report: a hostile peer must not fill the journal."""
        refused, self._refused = self._refused, {}
        if self.crowded:
            _log.warn("more than limits.connections: {count} refused", count=self.crowded)
            self.crowded = 0
        for host, count in list(refused.items())[:20]:
            _log.warn("{host} is not in `peers`: {count} connections refused", host=host, count=count)


@implementer(IReadDescriptor)
class Front:
    """One listening socket; `take` gets each new connection and what scheme it speaks."""

    def __init__(
        self,
        listening: socket.socket,
        scheme: str,
        peers: Peers,
        take: Callable[[socket.socket, str], None],
        reactor: Any,  # noqa: ANN401
    ) -> None:
        self._listening, self._scheme, self._peers = listening, scheme, peers
        self._take, self._reactor = take, reactor
        self._closed = False
        listening.setblocking(False)

    def open(self) -> None:
        """Accept connections."""
        if not self._closed:
            self._reactor.addReader(self)

    def pause(self) -> None:
        """Let them wait in the kernel."""
        self._reactor.removeReader(self)

    def close(self) -> None:
        """Accept no more."""
        self._closed = True
        self._reactor.removeReader(self)

    # --- What Twisted calls ---------------------------------------------------------------

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._listening.fileno()

    def logPrefix(self) -> str:
        """Return a name for its log."""
        return "front"

    def doRead(self) -> None:
        """Accept what waits."""
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _GONE:
                    continue
                _log.error("no connection can be accepted: {why}", why=error.strerror)
                self._reactor.removeReader(self)
                self._reactor.callLater(_PAUSE, self.open)
                return
            if self._peers.admit(address[0]):
                self._take(connection, self._scheme)
            else:
                connection.close()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends."""
        del reason
