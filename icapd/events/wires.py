"""The ways to a receiver of syslog: UDP (RFC 5426), TCP with octet counting (RFC 6587), TLS (RFC 5425).

Blocking, for a thread of its own. All methods may raise OSError: then the wire is of no more use. Each counts
the bytes it has sent, and tells how many of them the receiver's machine has acknowledged.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import ssl
import struct
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from icapd.events.rfc5424 import STREAM_BYTES, UDP_BYTES, frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

CONNECT = 10.0  # s for connecting, and for the handshake of TLS
FINISH = 3.0  # s that a receiver has to read what is left, and to close
_STALL = 15.0  # s without progress that are told of
_DEAD = 180.0  # s without any acknowledgement; who has no room asks anew each 120 s (TCP_RTO_MAX)
_KEEPALIVE = (30, 10, 3)  # s of silence, s between probes, probes
_BURST = 64  # datagrams at once: so many fit into a buffer of Linux's usual size (208 KiB)
_PAUSE = 0.01  # s between bursts
_REFUSAL = 0.05  # s in which a machine near by says that nobody listens
_LAST_ACK_RECV = 56  # offset in struct tcp_info, ms
_PIECE = 65536
_MOST_READ = 16  # pieces: who says more than that is heard later


class Wire(Protocol):
    """One connection, or what is one to a sender of datagrams."""

    limit: int
    """Bytes of a message."""
    doubt: float
    """s after which what is acknowledged has arrived."""
    sent: int
    dropped: int
    """Messages that cannot be sent at all."""

    def send(self, messages: list[bytes]) -> None:
        """Send messages; wait for as long as the receiver's machine is there, but has no room."""

    def acknowledged(self) -> int:
        """Return how many of the bytes sent are known to be there."""

    def look(self) -> None:
        """Raise OSError if the receiver has gone."""

    def finish(self) -> bool:
        """End in order, within FINISH s; return whether the receiver has read all."""

    def close(self) -> None:
        """Let go of it, whatever is on its way."""


class Datagrams:
    """UDP. What the network loses on the way nobody learns of; only who is near can refuse."""

    limit = UDP_BYTES
    doubt = 1.0  # who refuses, does so within that

    def __init__(self, host: str, port: int) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.settimeout(1.0)
        self._tried = False
        self.sent = self.dropped = 0
        try:
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise

    def send(self, messages: list[bytes]) -> None:
        """Send them in bursts."""
        at = 0
        while at < len(messages):
            burst = messages[at : at + (_BURST if self._tried else 1)]
            for message in burst:
                self._send(message)
            time.sleep(_PAUSE if self._tried else _REFUSAL)
            self.look()
            self._tried = True
            at += len(burst)
            self.sent += sum(map(len, burst))

    def _send(self, message: bytes) -> None:
        try:
            self._socket.send(message)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            self.dropped += 1

    def acknowledged(self) -> int:
        """All of them: nobody says."""
        return self.sent

    def look(self) -> None:
        """Hear whether a datagram was refused."""
        if number := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(number, os.strerror(number))

    def finish(self) -> bool:
        """Nothing is to be waited for."""
        self.close()
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Stream:
    """TCP, with TLS if a context is given."""

    limit = STREAM_BYTES
    doubt = 10.0
    dropped = 0

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        stalled: Callable[[bool], None],
    ) -> None:
        """`stalled` is told when the receiver takes nothing for a while, and when it goes on."""
        self._socket = socket.create_connection((host, port), CONNECT)
        self._stalled = stalled
        self._end = False
        self.sent = 0
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        try:
            _keep_alive(self._socket)
            self._socket.setblocking(False)
            if context is not None:
                self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
                self._shake_hands(self._tls, time.monotonic() + CONNECT)
        except BaseException:
            self._socket.close()
            raise

    def send(self, messages: list[bytes]) -> None:
        """Send them, each behind its length."""
        data = b"".join(map(frame, messages))
        if self._tls is None:
            self._write(data)
            return
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view[:_PIECE]) :]
            self._write(self._out.read())
        self._read()

    def acknowledged(self) -> int:
        """Those that are no longer in the kernel's queue."""
        waiting = struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)))[0]  # SIOCOUTQ
        return self.sent - int(waiting)

    def look(self) -> None:
        """Hear whether the connection has ended."""
        self._read()

    def finish(self) -> bool:
        """End both layers, and wait for the receiver's end."""
        try:
            if self._tls is not None:
                with suppress(ssl.SSLWantReadError):
                    self._tls.unwrap()
                self._write(self._out.read(), FINISH)
            self._socket.shutdown(socket.SHUT_WR)
            return self._drained(time.monotonic() + FINISH)
        except OSError:
            return False
        finally:
            self.close()

    def close(self) -> None:
        """Close the socket; the kernel still sends what it has."""
        self._socket.close()

    def _drained(self, deadline: float) -> bool:
        """Whether the receiver closes: as it does when it has read all, and unread bytes would reset it."""
        while (left := deadline - time.monotonic()) > 0:
            if self._ready(select.POLLIN, left) and not self._socket.recv(_PIECE):
                return True
        return False

    def _shake_hands(self, tls: ssl.SSLObject, deadline: float) -> None:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self._write(self._out.read(), CONNECT)
                left = deadline - time.monotonic()
                if left <= 0 or not self._ready(select.POLLIN, left):
                    raise TimeoutError(errno.ETIMEDOUT, "no answer to the handshake of TLS") from None
                self._receive()
            except ssl.SSLError:
                with suppress(OSError):  # the alert that says why
                    self._write(self._out.read(), CONNECT)
                raise
            else:
                self._write(self._out.read(), CONNECT)
                return

    def _write(self, data: bytes, most: float | None = None) -> None:
        """Send data; wait for ever, or `most` s without progress, while the other machine answers."""
        view = memoryview(data)
        since, told = time.monotonic(), False
        while view:
            try:
                count = self._socket.send(view)
            except BlockingIOError:
                count = 0
            view, self.sent = view[count:], self.sent + count
            now = time.monotonic()
            if count:
                since = now
                if told:
                    self._stalled(False)
                    told = False
            elif (most is not None and now - since > most) or _silent(self._socket) > _DEAD:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            elif now - since > _STALL and not told:
                self._stalled(True)
                told = True
            if view and self._ready(select.POLLOUT | select.POLLIN, 1.0) & select.POLLIN:
                self._read()

    def _read(self) -> None:
        """Take what the receiver says: nothing of RFC 5425 or 6587, but TLS has its own, and it may end."""
        for _ in range(_MOST_READ):
            if not self._ready(select.POLLIN, 0.0):
                break
            self._receive()
        if self._tls is None:
            self._in.read()
        else:
            with suppress(ssl.SSLWantReadError):
                while self._tls.read(_PIECE):
                    pass
                self._end = True
        if self._end:
            raise ConnectionError(errno.ECONNRESET, "the receiver has closed the connection")

    def _receive(self) -> None:
        data = self._socket.recv(_PIECE)
        if not data:
            raise ConnectionError(errno.ECONNRESET, "the receiver has closed the connection")
        self._in.write(data)

    def _ready(self, events: int, seconds: float) -> int:
        poll = select.poll()
        poll.register(self._socket, events)
        found = poll.poll(seconds * 1000)
        return found[0][1] & ~(select.POLLERR | select.POLLHUP) or events if found else 0


def tls_context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Return what checks a receiver: its certificate by `ca` or the system's, its name; TLS 1.2 at least.

    Raises OSError, of which ssl.SSLError is one, for files that cannot be read or do not serve.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key, password=lambda: "")
    return context


def system_authorities() -> Iterable[str]:
    """Yield the files and directories in which the system's CAs are looked for."""
    paths = ssl.get_default_verify_paths()
    yield from (path for path in (paths.cafile, paths.capath) if path is not None)


def reason_of(error: OSError) -> str:
    """Return in words why something with a socket or TLS failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not verify: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror):
        return f"its name is not found: {error.strerror}"
    return error.strerror or str(error)


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    for name, value in zip(names, _KEEPALIVE, strict=True):
        connection.setsockopt(socket.IPPROTO_TCP, name, value)


def _silent(connection: socket.socket) -> float:
    """Return for how many seconds the other machine has acknowledged nothing, not even a probe."""
    information = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return float(struct.unpack_from("I", information, _LAST_ACK_RECV)[0]) / 1000
