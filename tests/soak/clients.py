"""Clients of every kind, each a function of a connection and a number: it asks, and asserts what it gets."""

from __future__ import annotations

import contextlib
import io
import random
import re
import socket
import struct
import time
import zipfile
from collections import Counter
from typing import TYPE_CHECKING

from tests.server.asking import Asking, chunks, options, reqmod, respmod

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.cases.icap_cases import Resp

    Kind = Callable[["Client", int], None]

MARK = b"ICAPD-SOAK-MARK"  # what the stand-in for malware holds
SIZES = (0, 1, 1024, 65536, 262144)  # bytes of bodies
_ALLOW = ("Allow: 204",)


def policy(number: int) -> dict[str, object]:
    """Return a policy that says the same whatever its number, which changes its digest."""
    return {
        "bypass": [{"name": "echo", "when": {"host": ["echo.example"]}}],
        "access": [
            {"name": "bad", "when": {"host": ["bad.example"]}, "action": "block"},
            {"name": "inside", "when": {"host": ["inside.example"], "path": ["/bad"]}, "action": "block"},
            {"name": f"number {number}", "when": {"host": [f"n{number}.example"]}, "action": "block"},
        ],
    }


class Client:
    """One who asks over a connection of his own, and counts."""

    def __init__(self, port: int, place: int, sizes: tuple[int, ...] = SIZES) -> None:
        self.port, self.place, self.sizes = port, place, sizes
        self.random = random.Random(place)
        self.answered: set[str] = set()  # URLs
        self.left: set[str] = set()  # URLs whose answer was not waited for
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self._link: Asking | None = None

    def run(self, over: Callable[[], bool]) -> None:
        """Ask what comes to mind until it is over."""
        names = list(KINDS)
        number = 0
        while not over():
            number += 1
            name = self.random.choices(names, _WEIGHTS)[0]
            try:
                KINDS[name](self, number)
                self.counts[name] += 1
            except Exception as error:  # noqa: BLE001  # a soak goes on, and tells
                self.errors.append(f"{name} {self.place}-{number}: {type(error).__name__}: {error}"[:300])
                self.close()
            time.sleep(self.random.random() * 0.02)
        self.close()

    def url(self, host: str, number: int, path: str = "") -> str:
        return f"http://{host}/{path}{self.place}-{number}"

    def ask(self, url: str, request: bytes, method: str = "REQMOD") -> Resp:
        if self._link is None or self.random.random() < 0.02:
            self.close()
            self._link = Asking(self.port)
        answer = self._link.ask(request, method)
        self.answered.add(url)
        return answer

    @property
    def link(self) -> Asking:
        assert self._link is not None
        return self._link

    def close(self) -> None:
        if self._link is not None:
            self._link.socket.close()
            self._link = None

    def body(self, number: int) -> bytes:
        size = self.random.choice(self.sizes)
        return (b"%d %d " % (self.place, number) + self.random.randbytes(32) * (size // 32 + 1))[:size]


def _pass(client: Client, number: int) -> None:
    url = client.url("a.example", number)
    assert client.ask(url, reqmod(url)).status == 204


def _block(client: Client, number: int) -> None:
    url = client.url("bad.example", number)
    assert_page(client.ask(url, reqmod(url)))


def assert_page(answer: Resp) -> None:
    assert answer.status == 200
    assert (answer.http_head or b"").startswith(b"HTTP/1.1 403 "), answer.http_head
    assert answer.body


def _options(client: Client, number: int) -> None:
    answer = client.ask("", options(("reqmod", "respmod")[number % 2]), "OPTIONS")
    client.answered.discard("")
    assert answer.status == 200


def _echo(client: Client, number: int) -> None:
    url, body = client.url("echo.example", number), client.body(number)
    pieces = [body[at : at + 30_000] for at in range(0, len(body), 30_000)]
    answer = client.ask(url, respmod(url, lines=(), body=chunks(*pieces)), "RESPMOD")
    assert (answer.status, answer.body or b"") == (200, body)


def _scanned(client: Client, number: int) -> None:
    url, body = client.url("a.example", number), client.body(number)
    answer = client.ask(url, respmod(url, lines=_ALLOW, body=chunks(*filter(None, [body]))), "RESPMOD")
    if answer.status == 200:  # a long body may have begun to go before it was known
        assert (answer.body or b"") == body
    else:
        assert answer.status == 204


def _found(client: Client, number: int) -> None:
    url, body = client.url("a.example", number), b"%d" % number + MARK
    if number % 2:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inside", body)
        body = out.getvalue()
    assert_page(client.ask(url, respmod(url, lines=_ALLOW, body=chunks(body)), "RESPMOD"))


def _preview(client: Client, number: int) -> None:
    url, body = client.url("a.example", number), client.random.randbytes(5000)
    request = respmod(url, lines=(*_ALLOW, "Preview: 1024"), body=chunks(body[:1024]))
    answer = client.ask(url, request, "RESPMOD")
    if answer.status == 100:
        client.link.socket.sendall(chunks(body[1024:]))
        answer = client.link.answer("RESPMOD")
    if answer.status != 204:
        assert (answer.status, answer.body) == (200, body), _told(answer)


def _told(answer: Resp) -> tuple[object, ...]:
    """What an answer that should not have come says, its page's facts above all."""
    facts = re.findall(rb"<dt>(.*?)</dt>\s*<dd>(.*?)</dd>", answer.body or b"")
    return answer.status, facts or answer.body, answer.headers


def _tunnel(client: Client, number: int) -> None:
    port = 1024 + (client.place * 500 + number % 500) % 60_000
    lines = (*_ALLOW, "X-Client-IP: 192.0.2.7", f"X-Client-Port: {port}", "X-Icapd-Fragment: 1")
    host = f"t{client.place}-{number}.example" if number % 3 else "bad.example"
    answer = client.ask("", reqmod(f"{host}:443", "CONNECT", lines=lines))
    client.answered.discard("")
    client.counts["connect"] += 1
    if host == "bad.example":
        assert b"X-Icapd-Verdict: block" in (answer.http_head or b"")
        return
    assert answer.status in {200, 204}
    url = f"https://{host}/{client.place}-{number}"
    http = (f"Host: {host}",)
    assert client.ask(url, reqmod(url, http=http, lines=lines)).status == 204


def _abort(client: Client, number: int) -> None:
    url, body = client.url("a.example", number), b"x" * 20_000
    request = respmod(url, lines=(), body=chunks(body))
    cut = client.random.randrange(len(request) + 1)
    client.left.add(url)
    with contextlib.closing(socket.create_connection(("127.0.0.1", client.port), 20)) as gone:
        gone.sendall(request[:cut])
        if number % 2:
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _slow(client: Client, number: int) -> None:
    url, body = client.url("echo.example", number), client.random.randbytes(64) * 4000
    with Asking(client.port) as slow:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        slow.socket.sendall(respmod(url, lines=(), body=chunks(body)))
        for _ in range(10):
            time.sleep(0.05)
            slow._data += slow.socket.recv(8192)
        answer = slow.answer("RESPMOD")
    client.answered.add(url)
    assert (answer.status, answer.body) == (200, body)


KINDS: Mapping[str, Kind] = {
    "pass": _pass,
    "block": _block,
    "options": _options,
    "echo": _echo,
    "scanned": _scanned,
    "found": _found,
    "preview": _preview,
    "tunnel": _tunnel,
    "abort": _abort,
    "slow": _slow,
}
_WEIGHTS = (30, 10, 3, 10, 10, 6, 10, 12, 6, 1)
assert len(_WEIGHTS) == len(KINDS)
