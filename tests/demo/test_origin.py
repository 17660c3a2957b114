"""The origins are witnesses: here is what they must not miss."""

import http.client
import socket
import time
from collections.abc import Iterator

import pytest

from icapd.demo.contacts import Accepted, Contacts, RequestReceived
from icapd.demo.origin import ETAG, Origin, pattern

ADDRESS = "127.0.0.2"


@pytest.fixture
def origin() -> Iterator[Origin]:
    origin = Origin(Contacts(), (ADDRESS, 0))
    origin.start()
    yield origin
    origin.stop()
    assert origin.contacts.faults == []


def ask(
    origin: Origin, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(ADDRESS, origin.port, timeout=5)
    connection.request(method, path, body, headers or {})
    return connection.getresponse()


def test_a_connection_that_says_nothing_is_recorded(origin: Origin) -> None:
    with socket.create_connection((ADDRESS, origin.port)) as silent:
        port = silent.getsockname()[1]
        deadline = time.monotonic() + 2
        while not origin.contacts.since(0) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert origin.contacts.since(0) == (Accepted("http", port),)


def test_a_request_is_recorded_whole(origin: Origin) -> None:
    assert ask(origin, "POST", "/echo?a=b", {"X": "y"}, b"body").read() == b"body"
    [request] = origin.contacts.requests(0)
    assert isinstance(request, RequestReceived)
    assert (request.method, request.target, request.body) == ("POST", "/echo?a=b", b"body")
    assert (request.header("x"), request.header("absent")) == ("y", "")


def test_a_chunked_request_with_trailers_is_recorded_without_its_framing(origin: Origin) -> None:
    with socket.create_connection((ADDRESS, origin.port), 5) as connection:
        connection.sendall(b"PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    [request] = origin.contacts.requests(0)
    assert (request.body, request.trailers) == (b"abcde", (("X-Sum", "1"),))


def test_its_answers(origin: Origin) -> None:
    assert ask(origin, "GET", "/bytes/3000").read() == pattern(3000)
    assert ask(origin, "GET", "/chunked/30000").read() == pattern(30000)
    assert ask(origin, "GET", "/etag", {"If-None-Match": ETAG}).status == 304
    assert ask(origin, "GET", "/status/404").status == 404
    head = ask(origin, "HEAD", "/bytes/3000")
    assert (head.getheader("Content-Length"), head.read()) == ("3000", b"")
    with pytest.raises(http.client.IncompleteRead):
        ask(origin, "GET", "/early").read()


def test_pattern_tells_places_apart() -> None:
    assert pattern(10) == pattern(20)[:10]
    data = pattern(65536)
    assert len({data[i : i + 8] for i in range(0, len(data), 8)}) == 8192
