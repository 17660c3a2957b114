"""HTTP and HTTPS origin servers on loopback that record every accept, handshake and request.

Paths: `/bytes/N` and `/chunked/N` send `pattern(N)`; `/trailers` ends a chunked body with a trailer;
`/echo` sends the request body back; `/etag` honours If-None-Match; `/status/NNN` answers NNN;
`/early` closes the connection after half of its body; `/pauses/S` waits S seconds in its body, as an
event stream does; `/html?HTML` is a page of that (percent-encoded) HTML; what a test has put into `files` is
sent by its path; anything else is a small page.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from icapd.demo.contacts import Accepted, Contacts, HelloReceived, RequestReceived

if TYPE_CHECKING:
    import socket
    import ssl

ETAG = '"demo-1"'
PAGE_MARK = "origin itself"
_CHUNK = 7000  # bytes; not a divisor of any size that Squid or icapd uses for its buffers
_PAGE = f"<!doctype html><html lang=en><title>%s</title><h1>%s</h1><p>From the {PAGE_MARK}.\n"


def pattern(size: int) -> bytes:
    """`size` bytes which are the same each time and do not compress, so that a lost or doubled one shows."""
    return hashlib.shake_256(b"icapd").digest(size)


@dataclass(frozen=True, slots=True)
class File:
    """A body and its header fields but Content-Length."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Origin(ThreadingHTTPServer):
    """One origin at `place`, an address and a port (0 is any free one), served by threads of this process."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, contacts: Contacts, place: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        self.contacts = contacts
        self.files: dict[str, File] = {}
        self.scheme = "https" if tls else "http"
        self._tls = tls
        if tls is not None:
            tls.sni_callback = self._hello_received
        super().__init__(place, _Exchange)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), name=self.scheme, daemon=True)

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Serve in a thread until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting and close the listening socket. Open connections end with their peers."""
        if self._thread.is_alive():  # else shutdown() would wait for ever
            self.shutdown()
            self._thread.join(5)
        self.server_close()

    def server_bind(self) -> None:
        """Bind without asking for the address's name, as http.server does: it may wait 10 s for an answer."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.port

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept one connection, recorded before a byte of it is read."""
        connection, address = self.socket.accept()
        self.contacts.add(Accepted(self.scheme, address[1]))
        return connection, address

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (socketserver's own)
        """Shake hands if this is the HTTPS origin, then serve the connection's requests."""
        request.settimeout(30)
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        with self._tls.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """Keep what went wrong; a peer that leaves or refuses the certificate is no fault of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            self.contacts.faults.append(traceback.format_exc())

    def _hello_received(self, _tls: ssl.SSLObject, sni: str | None, _context: ssl.SSLContext) -> None:
        self.contacts.add(HelloReceived(sni))


class _Exchange(BaseHTTPRequestHandler):
    """The exchanges of one connection: read a request whole, record it, answer by its path."""

    protocol_version = "HTTP/1.1"
    server_version = "icapd-demo-origin"
    sys_version = ""
    disable_nagle_algorithm = True

    def _answer(self) -> None:  # noqa: C901, PLR0912  (a table of paths)
        body, trailers = self._read_body()
        origin = cast("Origin", self.server)
        headers = tuple(self.headers.items())
        origin.contacts.add(RequestReceived(origin.scheme, self.command, self.path, headers, body, trailers))
        file = origin.files.get(self.path)
        if file is not None:
            self._send(HTTPStatus.OK, file.body, *file.headers)
            return
        kind, _, rest = self.path.partition("?")[0].strip("/").partition("/")
        match kind:
            case "bytes":
                self._send(HTTPStatus.OK, pattern(int(rest)))
            case "chunked":
                self._send_chunked(pattern(int(rest)), {})
            case "trailers":
                self._send_chunked(pattern(2000), {"X-Checksum": "abc123"})
            case "echo":
                self._send(HTTPStatus.OK, body)
            case "etag" if self.headers.get("If-None-Match") == ETAG:
                self._send(HTTPStatus.NOT_MODIFIED, b"", ("ETag", ETAG))
            case "etag":
                self._send(HTTPStatus.OK, b"tagged\n", ("ETag", ETAG))
            case "status":
                self._send(HTTPStatus(int(rest)), f"status {rest}\n".encode())
            case "html":
                html = unquote(self.path.partition("?")[2]).encode()
                self._send(HTTPStatus.OK, html, ("Content-Type", "text/html; charset=utf-8"))
            case "early":
                self._send_half(pattern(200_000))
            case "slow":
                self._send_slowly(pattern(int(rest)))
            case "pauses":
                self._send_with_pause(float(rest))
            case _:
                name = (self.headers.get("Host") or "").partition(":")[0]
                self._send(HTTPStatus.OK, (_PAGE % (name, name)).encode(), ("Content-Type", "text/html"))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer  # noqa: N815 (http.server's own)

    def _send(self, status: HTTPStatus, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        bodyless = status in (HTTPStatus.NOT_MODIFIED, HTTPStatus.NO_CONTENT)
        if not bodyless:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and not bodyless:
            self.wfile.write(body)

    def _send_chunked(self, body: bytes, trailers: dict[str, str]) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Transfer-Encoding", "chunked")
        for name in trailers:
            self.send_header("Trailer", name)
        self.end_headers()
        if self.command == "HEAD":
            return
        for start in range(0, len(body), _CHUNK):
            chunk = body[start : start + _CHUNK]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        fields = "".join(f"{name}: {value}\r\n" for name, value in trailers.items())
        self.wfile.write(f"0\r\n{fields}\r\n".encode())

    def _send_with_pause(self, seconds: float) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"e\r\ndata: before\n\n\r\n")
        time.sleep(seconds)
        self.wfile.write(b"d\r\ndata: after\n\n\r\n0\r\n\r\n")

    def _send_slowly(self, body: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for start in range(0, len(body), _CHUNK):
            self.wfile.write(body[start : start + _CHUNK])
            time.sleep(0.01)

    def _send_half(self, body: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True

    def _read_body(self) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        if "chunked" not in (self.headers.get("Transfer-Encoding") or "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0)), ()
        body = bytearray()
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        trailers = []
        while line := self.rfile.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            trailers.append((name, value.strip()))
        return bytes(body), tuple(trailers)

    def log_message(self, *_arguments: Any) -> None:  # noqa: ANN401 (http.server's own)
        """Write nothing: the record is the log."""
