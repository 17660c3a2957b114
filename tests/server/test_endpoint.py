"""The HTTP of the metrics: what it answers, and what hostile clients get."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, cast

import pytest
from twisted.internet.task import Clock

from icapd.errors import IcapdError
from icapd.server.endpoint import FRESH, MAX_HEAD, MAX_OPEN, SECONDS, _Endpoint
from tests.server.doubles import Link
from tests.server.measuring import METRICS, get, port_of, ready
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.metrics.snapshot import Snapshot
    from icapd.server.endpoint import Telling
    from tests.serving import Served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served"), options={**METRICS, "workers": "1"}) as one:
        yield one


@pytest.fixture
def port(served: Served) -> int:
    return port_of(served)


def raw(port: int, *pieces: bytes) -> bytes:
    """All that comes back."""
    with socket.create_connection(("127.0.0.1", port), 20) as link:
        out = b""
        try:
            for piece in pieces:
                link.sendall(piece)
            while data := link.recv(65536):
                out += data
        except ConnectionResetError:
            pass
        return out


def test_paths(port: int) -> None:
    assert get(port, "/healthz") == (200, "text/plain; charset=utf-8", "alive\n")
    assert ready(port)[0] == 200
    status, kind, text = get(port, "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert text.startswith("# HELP icapd_build_info ")
    status, kind, text = get(
        port, "/metrics?x=<script>", Accept="text/html, application/openmetrics-text;version=1.0.0"
    )
    assert (status, kind) == (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert text.endswith("# EOF\n")
    assert "<script>" not in text


def test_head_has_the_length_and_no_body(port: int) -> None:
    answer = raw(port, b"HEAD /healthz HTTP/1.1\r\n", b"Host: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 6\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"405 Method Not Allowed"),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET /evil<b> HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"GET /metrics/../healthz HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"GET http://evil/ HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"GET /healthz HTTP/2.0\r\n\r\n", b"400 Bad Request"),
        (b"\x16\x03\x01\x00\xff\x00\r\n\r\n", b"400 Bad Request"),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * MAX_HEAD, b"431 Request Header Fields Too Large"),
    ],
)
def test_anything_else_is_refused_and_nothing_of_it_comes_back(
    port: int, request_: bytes, status: bytes
) -> None:
    answer = raw(port, request_)
    assert not answer or answer.startswith(b"HTTP/1.1 " + status)
    assert b"evil" not in answer


def test_connections_are_bounded_and_come_back(port: int) -> None:
    idle = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(MAX_OPEN)]
    time.sleep(0.2)
    assert raw(port, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
    for each in idle:
        each.close()
    deadline = time.monotonic() + 20
    while not raw(port, b"GET /healthz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200"):
        assert time.monotonic() < deadline


def test_who_says_nothing_is_cut() -> None:
    clock, link = Clock(), Link()
    factory = _Endpoint(cast("Telling", None), clock)
    request = factory.buildProtocol(None)
    request.makeConnection(link)  # type: ignore[no-untyped-call]
    request.dataReceived(b"GET /healthz HTTP/1.1\r\n")
    clock.advance(SECONDS - 1)
    assert not link.aborted
    clock.advance(1)
    assert link.aborted
    request.dataReceived(b"\r\n")
    assert link.held == b""
    request.connectionLost()
    assert factory.count == 0


def test_an_answer_is_made_once_in_a_while_and_a_fault_costs_nothing_else() -> None:
    clock, made = Clock(), []

    class Fails:
        def snapshot(self) -> Snapshot:
            made.append(clock.seconds())
            raise ZeroDivisionError

    answers = _Endpoint(Fails(), clock).answers
    for _ in range(5):
        assert answers.get("/metrics", open_metrics=False)[0] == 500
    clock.advance(FRESH)
    answers.get("/metrics", open_metrics=False)
    assert made == [0.0, FRESH]


def test_an_address_that_cannot_be_had_is_one_line(
    served: Served, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("second")
    options = {"metrics": f"127.0.0.1:{port_of(served)}", "workers": "1"}
    text = r"cannot listen on metrics 127\.0\.0\.1:\d+: Address already in use"
    with pytest.raises(IcapdError, match=text), serving(directory, options=options):
        pass
