"""What the server uses of Twisted, as types: zope interfaces mean nothing to mypy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress


class Transport(Protocol):
    """A connected TCP or TLS transport."""

    def write(self, data: bytes, /) -> None:
        """Send, or hold what the kernel does not take."""

    def loseConnection(self) -> None:
        """Close when all is sent and no producer is registered."""

    def abortConnection(self) -> None:
        """Close at once, by RST."""

    def pauseProducing(self) -> None:
        """Stop reading."""

    def resumeProducing(self) -> None:
        """Read again."""

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Have `producer` told when to go on."""

    def unregisterProducer(self) -> None:
        """Tell it no more."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Send small segments at once."""

    def getPeer(self) -> IAddress:
        """Return the other end's address."""
        ...


class TcpTransport(Transport, Protocol):
    """A transport that is a socket."""

    socket: socket.socket

    def fileno(self) -> int:
        """Return the descriptor, -1 when closed."""
        ...

    def loseWriteConnection(self) -> None:
        """Close our half when all is sent."""


class TlsTransport(Transport, Protocol):
    """A transport that encrypts, and the one below it."""

    transport: TcpTransport


class Port(Protocol):
    """A listening port."""

    def getHost(self) -> Any:  # noqa: ANN401  # an IAddress with host and port
        """Return what it is bound to."""

    def startReading(self) -> None:
        """Accept connections."""

    def stopReading(self) -> None:
        """Let them wait in the kernel."""

    def stopListening(self) -> object:
        """Accept no more."""


class Reactor(Protocol):
    """The event loop."""

    def run(self, installSignalHandlers: bool = ...) -> None:  # noqa: N803
        """Run until `stop`."""

    def stop(self) -> None:
        """End `run`; only once."""

    def callFromThread(self, call: Callable[[], object]) -> None:
        """Call soon, from the loop; may be used by signal handlers."""

    def callLater(self, delay: float, call: Callable[[], object]) -> object:
        """Call after `delay` seconds."""

    def callWhenRunning(self, call: Callable[..., object], *args: object) -> object:
        """Call when `run` has begun."""

    def addReader(self, reader: object) -> None:
        """Watch a descriptor for reading."""

    def seconds(self) -> float:
        """Return a time that only grows."""
        ...

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: object) -> Port:  # noqa: N803
        """Accept connections at a socket that listens already."""
        ...

    def listenTCP(self, port: int, factory: object, backlog: int = ..., interface: str = ...) -> Port:
        """Bind and listen."""
        ...


__all__ = ["Port", "Reactor", "TcpTransport", "TlsTransport", "Transport"]
