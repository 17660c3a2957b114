"""A web server of the doctor's own, for the length of its visit: what it sends is known byte by byte."""

from __future__ import annotations

import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

LARGE = 1_000_000  # bytes; a Squid with bug 5352 stops at 65,535
PLAIN = b"This is icapd doctor's own page.\n"
_NOWHERE = ("192.0.2.1", 9)  # TEST-NET-1: the way there tells our address, no packet is sent


def eicar() -> bytes:
    """The EICAR test file, put together here so that no scanner objects to icapd itself."""
    return b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"-".join(
        (b"EICAR", b"STANDARD", b"ANTIVIRUS", b"TEST", b"FILE!$H+H*")
    )


def large() -> bytes:
    """A body that does not compress, the same each time."""
    return hashlib.shake_256(b"icapd doctor").digest(LARGE)


def own_address() -> str | None:
    """The address of this machine that others see: Squid does not go to loopback. None if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_NOWHERE)
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") else address


class Origin(ThreadingHTTPServer):
    """Answers at `address` on a free port.

    `asked` holds the path and the headers of each request.
    """

    daemon_threads = True

    def __init__(self, address: str) -> None:
        """Bind, and serve in a thread. Raises OSError if the address is not ours."""
        super().__init__((address, 0), _Exchange)
        self._accepted = 0
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its URL, without a path."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def was_reached(self) -> bool:
        """Whether anybody has connected so far."""
        return self._accepted > 0

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and count it."""
        self._accepted += 1
        return super().get_request()

    def stop(self) -> None:
        """End it."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  (socketserver's own)
        """Say nothing: a proxy that leaves early is what some probes are about."""


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "icapd-doctor"
    sys_version = ""

    def do_GET(self) -> None:
        cast("Origin", self.server).asked.append(
            (self.path, {name.lower(): value for name, value in self.headers.items()})
        )
        bodies = {"/large": large, "/eicar.com": eicar}
        body = bodies.get(self.path.partition("?")[0], lambda: PLAIN)()
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_arguments: Any) -> None:  # noqa: ANN401  (http.server's own)
        """Write nothing."""
