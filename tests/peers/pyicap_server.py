# pyicap calls SERVICE_METHOD
"""pyicap 1.0b1 as a server that allows everything: the differential peer."""

from __future__ import annotations

import collections.abc
import socketserver
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyicap

if TYPE_CHECKING:
    from collections.abc import Iterator

# It asks for collections.Callable, which is gone since Python 3.10: give its own name the right module.
pyicap.collections = collections.abc

_OPTIONS_HEADERS = (
    (b"Methods", b"REQMOD"),
    (b"Service", b"pyicap"),
    (b"Preview", b"1024"),
    (b"Transfer-Preview", b"*"),
    (b"Options-TTL", b"3600"),
    (b"Allow", b"204"),
    (b"Encapsulated", b"null-body=0"),
)


class _AllowAll(pyicap.BaseICAPRequestHandler):  # type: ignore[misc]  # it has no types
    """Services /reqmod and /respmod: 204 where allowed, else the message as it came."""

    def reqmod_OPTIONS(self) -> None:
        self._options(b"REQMOD")

    def respmod_OPTIONS(self) -> None:
        self._options(b"RESPMOD")

    def _options(self, method: bytes) -> None:
        self.set_icap_response(200)
        for name, value in _OPTIONS_HEADERS:
            self.set_icap_header(name, method if name == b"Methods" else value)
        self.send_headers()

    def reqmod_REQMOD(self) -> None:
        self._allow(self.enc_req, self.enc_req_headers, self.set_enc_request)

    def respmod_RESPMOD(self) -> None:
        self._allow(self.enc_res_status, self.enc_res_headers, self.set_enc_status)

    def _allow(self, line: list[bytes] | None, headers: dict[bytes, list[bytes]], set_line: Any) -> None:
        if b"204" in self.allow or self.preview is not None:
            self.no_adaptation_required()
            return
        self.set_icap_response(200)
        if line is not None:
            set_line(b" ".join(line))
        for name, values in headers.items():
            for value in values:
                self.set_enc_header(name, value)
        self.set_enc_header(b"Via", b"ICAP/1.0 pyicap")
        self.send_headers(self.has_body)
        while self.has_body:
            chunk = self.read_chunk()
            self.write_chunk(chunk)
            if not chunk:
                break

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # its name there
        """Say nothing."""


class _Server(socketserver.ThreadingMixIn, pyicap.ICAPServer):  # type: ignore[misc]
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a connection whose request it cannot read is dropped, which the tests see."""


@contextmanager
def pyicap_serving() -> Iterator[int]:
    """Serve on a free port of 127.0.0.1 for the length of the block; yields the port."""
    server = _Server(("127.0.0.1", 0), _AllowAll)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":  # for tests/bench: a process of its own, which says where it listens
    with pyicap_serving() as listening:
        print(listening, flush=True)
        threading.Event().wait()
