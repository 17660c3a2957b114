"""ICAP requests as bytes, and a blocking client that reads answers strictly (with the deck's own parser)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Self

from tests.cases.icap_cases import Resp, parse_response

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def head_of(method: str, url: str, lines: Iterable[str] = ()) -> bytes:
    return "".join(f"{line}\r\n" for line in (f"{method} {url} HTTP/1.1", *lines, "")).encode("latin-1")


def icap(
    service: str, parts: str, *heads: bytes, lines: Iterable[str] = ("Allow: 204",), body: bytes = b""
) -> bytes:
    """One request to `service`; `parts` is its Encapsulated."""
    first = (
        f"{service.upper()} icap://icapd/{service} ICAP/1.0",
        "Host: icapd",
        *lines,
        f"Encapsulated: {parts}",
    )
    return "".join(f"{line}\r\n" for line in (*first, "")).encode("latin-1") + b"".join(heads) + body


def reqmod(
    url: str = "http://a.example/",
    method: str = "GET",
    *,
    http: Iterable[str] = ("Host: a.example",),
    lines: Iterable[str] = ("Allow: 204",),
    body: bytes | None = None,
) -> bytes:
    """A REQMOD; `body` in chunked coding."""
    if method == "CONNECT":
        http = ()
    head = head_of(method, url, http)
    kind = "null" if body is None else "req"
    return icap("reqmod", f"req-hdr=0, {kind}-body={len(head)}", head, lines=lines, body=body or b"")


def respmod(
    url: str = "http://a.example/", *, lines: Iterable[str] = ("Allow: 204",), body: bytes | None = None
) -> bytes:
    """A RESPMOD of a GET; `body` in chunked coding."""
    head = head_of("GET", url, ("Host: a.example",))
    kind = "null" if body is None else "res"
    parts = f"req-hdr=0, res-hdr={len(head)}, {kind}-body={len(head) + len(OK)}"
    return icap("respmod", parts, head, OK, lines=lines, body=body or b"")


def options(service: str = "reqmod") -> bytes:
    return f"OPTIONS icap://icapd/{service} ICAP/1.0\r\nHost: icapd\r\n\r\n".encode()


def answers(data: bytes, *methods: str) -> list[Resp]:
    """Cut `data` into one answer for each of `methods`; nothing may be left over."""
    found = []
    at = 0
    for method in methods:
        parsed = parse_response(data, at, method)
        assert parsed is not None, data[at : at + 200]
        answer, at = parsed
        found.append(answer)
    assert data[at:] == b""
    return found


class Asking:
    """A connection to icapd."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.socket: socket.socket = socket.create_connection((host, port), timeout=20)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        self._data = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, request: bytes, method: str = "REQMOD") -> Resp:
        """Send and read the answer."""
        self.socket.sendall(request)
        return self.answer(method)

    def answer(self, method: str = "REQMOD") -> Resp:
        while (parsed := parse_response(self._data, 0, method)) is None:
            data = self.socket.recv(65536)
            assert data, f"closed after {self._data[:200]!r}"
            self._data += data
        answer, at = parsed
        self._data = self._data[at:]
        return answer

    def rest(self) -> bytes:
        """What comes up to the end of the connection, which must be an orderly one."""
        data = self._data
        while more := self.socket.recv(65536):
            data += more
        self._data = b""
        return data
