"""The real process over real sockets: ports, peers, limits, abort, drain."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from icapd.demo.child import accepts
from tests.server.asking import Asking, answers, chunks, icap, options, reqmod, respmod
from tests.server.conftest import POLICY
from tests.serving import Served, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMITS = {"head": "1", "body": "1", "linger": "1", "drain": "20", "connections": "1000"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("icapd"), policy=POLICY, options={"limits": LIMITS}) as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, policy=POLICY, options={"limits": LIMITS}) as running:
        yield running


def sockets(pid: int) -> int:
    """How many connected sockets the process has (its listening ones, and the reactor's own, left out)."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += entry.readlink().name.startswith("socket:")
    return count


def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within its time"
        time.sleep(0.02)


def reset(peer: Asking) -> None:
    """Close by RST, as a client that crashed."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()


# -- answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["reqmod", "respmod"])
def test_options_says_exactly_this(served: Served, service: str) -> None:
    with Asking(served.icap) as peer:
        answer = peer.ask(options(service), "OPTIONS")
    fields = dict(answer.headers)
    assert answer.line == "ICAP/1.0 200 OK"
    date, istag, version = (fields.pop(name) for name in ("date", "istag", "service"))
    age = datetime.now(UTC) - parsedate_to_datetime(date)
    assert abs(age.total_seconds()) < 5
    assert istag.startswith('"icapd-')
    assert len(istag) <= 34
    assert version.startswith("icapd/")
    assert fields == {
        "server": "icapd",
        "connection": "keep-alive",
        "methods": service.upper(),
        "allow": "204",
        "preview": "1024",
        "transfer-preview": "*",
        "options-ttl": "3600",
        "x-include": "X-Client-IP, X-Client-Username, X-Authenticated-User",
        "max-connections": "1000",
        "encapsulated": "null-body=0",
    }
    assert answer.headers[-1][0] == "encapsulated"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (reqmod().replace(b"/reqmod", b"/nowhere"), 404),
        (reqmod().replace(b"/reqmod", b"/respmod"), 405),
        (reqmod().replace(b"REQMOD icap", b"FOOMOD icap"), 501),
        (reqmod().replace(b"ICAP/1.0", b"ICAP/2.0"), 505),
        (b"rubbish\r\n\r\n", 400),
    ],
)
def test_an_error_is_read_whole_by_a_client_that_is_still_sending(
    served: Served, request_: bytes, status: int
) -> None:
    with Asking(served.icap) as peer:
        peer.socket.sendall(request_)
        for _ in range(20):  # bytes that a plain close() would answer with RST
            peer.socket.sendall(b"x" * 10_000)
            time.sleep(0.005)
        (answer,) = answers(peer.rest(), "REQMOD")
        assert (answer.status, answer.get("connection")) == (status, "close")


def test_every_transaction_has_one_line_and_nothing_else_has(tmp_path: Path) -> None:
    secret = "Proxy-Authorization: Basic c2VjcmV0"
    with serving(tmp_path, policy=POLICY) as running, Asking(running.icap) as peer:
        for _ in range(5):
            assert peer.ask(options(), "OPTIONS").status == 200
            assert peer.ask(reqmod(http=(secret,), lines=("Allow: 204", secret))).status == 204
            assert (
                peer.ask(reqmod("http://user:secret@bad.example/", "POST", body=chunks(b"a"))).status == 200
            )
            assert peer.ask(reqmod("http://old.example/\x1b[2J")).status == 200
            assert peer.ask(respmod(lines=("Preview: 1",), body=chunks(b"a")), "RESPMOD").status == 204
            assert peer.ask(respmod(lines=(), body=chunks(b"abc")), "RESPMOD").body == b"abc"
            assert peer.ask(reqmod("http://[bad/")).status == 200
    text = (tmp_path / "decisions.log").read_text("ascii")
    policy, *records = [json.loads(line) for line in text.splitlines()]
    assert (policy["event"], policy["seq"], len(policy["digest"])) == ("policy", 1, 16)
    assert [record["action"] for record in records] == [
        *["allow", "block", "redirect", "allow", "allow", "refuse"] * 5
    ]
    assert len({record["id"] for record in records}) == 30
    assert "secret" not in text
    assert "c2Vj" not in text


# -- limits ------------------------------------------------------------------------------------------


def test_a_head_and_a_body_that_stall_are_ended(served: Served) -> None:
    with Asking(served.icap) as head, Asking(served.icap) as body:
        head.socket.sendall(b"OPTIONS icap:")
        body.socket.sendall(reqmod(method="POST", body=b"5\r\nab"))
        for peer in (head, body):
            (answer,) = answers(peer.rest(), "REQMOD")
            assert (answer.status, answer.get("connection")) == (408, "close")


def test_a_body_without_its_last_crlf_ends_after_about_a_second(served: Served) -> None:
    with Asking(served.icap) as peer:
        begin = time.monotonic()
        peer.socket.sendall(respmod(lines=(), body=chunks(b"abc"))[:-2])
        (answer,) = answers(peer.rest(), "RESPMOD")
    assert answer.body == b"abc"
    assert 0.5 < time.monotonic() - begin < 3


def test_a_peer_that_is_not_listed_is_closed_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, options={"peers": ["127.0.0.2"]}) as running:
        with Asking(running.icap) as peer:
            assert peer.socket.recv(1) == b""
        assert "127.0.0.1 is not in `peers`" in running.child.output()
        listed = socket.create_connection(("127.0.0.1", running.icap), 5, source_address=("127.0.0.2", 0))
        with listed:
            listed.sendall(options())
            assert listed.recv(100).startswith(b"ICAP/1.0 200 OK")


def test_limits_of_connections_and_bodies_hold(tmp_path: Path) -> None:
    limits = {"connections": "2", "body_bytes": "10", "drain": "1"}
    with serving(tmp_path, options={"limits": limits}) as running, Asking(running.icap) as first:
        assert first.ask(options(), "OPTIONS").get("max-connections") is None
        with Asking(running.icap) as second, Asking(running.icap) as third:
            assert second.ask(options(), "OPTIONS").status == 200
            (answer,) = answers(third.rest(), "OPTIONS")
            assert (answer.status, answer.get("connection")) == (503, "close")
            second.socket.sendall(reqmod(method="POST", body=chunks(b"x" * 11)))
            assert answers(second.rest(), "REQMOD")[0].status == 413
        assert first.ask(options(), "OPTIONS").status == 200


def test_five_hundred_connections_are_answered(served: Served) -> None:
    peers = [Asking(served.icap) for _ in range(500)]
    for _ in range(2):
        for peer in peers:
            peer.socket.sendall(reqmod())
        assert {peer.answer().status for peer in peers} == {204}
    for peer in peers:
        peer.socket.close()
    before = 12
    until(lambda: sockets(served.pid) < before)


@pytest.mark.parametrize("end", [reset, lambda peer: peer.socket.close()], ids=["reset", "close"])
def test_a_client_that_leaves_at_any_state_leaves_nothing_behind(
    served: Served, end: Callable[[Asking], None]
) -> None:
    with Asking(served.icap) as peer:  # the last test's connections are gone
        assert peer.ask(options(), "OPTIONS").status == 200
    time.sleep(0.1)
    before = sockets(served.pid)
    echo = respmod(lines=(), body=b"fffff\r\n" + b"x" * 0xFFFFF + b"\r\n0\r\n\r\n")
    for request in (
        b"",
        b"OPTI",
        options(),
        reqmod()[:-10],
        reqmod(),
        reqmod(method="POST", body=b"5\r\nab"),
        reqmod("http://bad.example/", "POST", body=b"5\r\nab"),
        respmod(lines=("Preview: 4",), body=b"4\r\nab"),
        respmod(lines=(), body=b"5\r\nab"),
        echo,  # more than the buffers of both sockets hold: the server is in the middle of its answer
    ):
        peer = Asking(served.icap)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(8 if request is echo else 1):
                peer.socket.send(request)
        time.sleep(0.05)
        end(peer)
    until(lambda: sockets(served.pid) <= before)
    assert "Traceback" not in served.child.output()


def test_after_a_half_close_what_was_asked_is_still_answered(served: Served) -> None:
    with Asking(served.icap) as peer:
        peer.socket.sendall(reqmod() + respmod(lines=(), body=chunks(b"abc")))
        peer.socket.shutdown(socket.SHUT_WR)
        found = answers(peer.rest(), "REQMOD", "RESPMOD")
    assert [answer.status for answer in found] == [204, 200]


# -- start and end -----------------------------------------------------------------------------------


def test_every_address_listened_on_answers(tmp_path: Path) -> None:
    listen = ["icap://127.0.0.1:0", "icap://127.0.0.2:0"]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        listen.append("icap://[::1]:0")
    with serving(tmp_path, options={"listen": listen}) as running:
        (line,) = [line for line in running.child.output().splitlines() if "ready on" in line]
        urls = line.removeprefix("icapd: ready on ").split(", ")
        assert len(urls) == len(listen)
        for url in urls:
            host, _, port = url.removeprefix("icap://").rpartition(":")
            with Asking(int(port), host=host.strip("[]")) as peer:
                assert peer.ask(options(), "OPTIONS").status == 200


def test_sigterm_lets_what_is_under_way_finish_and_closes_the_rest(fresh: Served) -> None:
    idle, uploading, beginning = (Asking(fresh.icap) for _ in range(3))
    assert idle.ask(options(), "OPTIONS").status == 200
    upload = reqmod(method="POST", body=chunks(b"x" * 50))
    uploading.socket.sendall(upload[:-20])
    beginning.socket.sendall(reqmod()[:-20])
    time.sleep(0.2)
    os.kill(fresh.pid, signal.SIGTERM)
    assert idle.rest() == b""
    with pytest.raises(OSError, match="refused"):
        Asking(fresh.icap)
    assert fresh.child.process.poll() is None
    uploading.socket.sendall(upload[-20:])
    beginning.socket.sendall(reqmod()[-20:])
    for peer in (uploading, beginning):
        (answer,) = answers(peer.rest(), "REQMOD")
        assert (answer.status, answer.get("connection")) == (204, "close")
        peer.socket.close()
    idle.socket.close()
    assert fresh.child.process.wait(5) == 0
    assert "Traceback" not in fresh.child.output()


def test_a_second_sigterm_ends_at_once(fresh: Served) -> None:
    with Asking(fresh.icap) as peer:
        peer.socket.sendall(reqmod(method="POST", body=b"5\r\nab"))
        time.sleep(0.1)
        os.kill(fresh.pid, signal.SIGTERM)
        until(lambda: not accepts(fresh.icap))
        assert fresh.child.process.poll() is None
        os.kill(fresh.pid, signal.SIGTERM)
        os.kill(fresh.pid, signal.SIGINT)
        assert fresh.child.process.wait(2) == 0
    assert "Traceback" not in fresh.child.output()


def test_the_drain_has_a_limit(tmp_path: Path) -> None:
    limits = {"limits": {"drain": "0.5"}}
    with serving(tmp_path, options=limits) as running, Asking(running.icap) as peer:
        peer.socket.sendall(reqmod(method="POST", body=b"5\r\nab"))
        time.sleep(0.1)
        os.kill(running.pid, signal.SIGTERM)
        assert running.child.process.wait(4) == 0
    assert "1 connections were cut after 0.5 s" in running.child.output()


def test_the_decision_log_may_be_full_or_unread(tmp_path: Path) -> None:
    with serving(tmp_path, options={"decisions": "/dev/full"}) as running, Asking(running.icap) as peer:
        for _ in range(700):
            assert peer.ask(reqmod()).status == 204
    assert "701 decision lines could not be written" in running.child.output()


def test_a_pipe_that_nobody_reads_does_not_stop_answers(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with serving(tmp_path, options={"decisions": "pipe"}) as running, Asking(running.icap) as peer:
        for _ in range(400):
            assert peer.ask(reqmod("http://a.example/" + "x" * 300)).status == 204
        time.sleep(1.2)
        data = b""
        while b"\n" not in data or len(data.splitlines()) < 401:
            assert select.select([reader], [], [], 5)[0]
            data += os.read(reader, 65536)
    os.close(reader)
    assert [json.loads(line)["status"] for line in data.splitlines()[1:]] == [204] * 400


def test_what_is_unlike_a_request_does_not_reach_the_policy(served: Served) -> None:
    with Asking(served.icap) as peer:
        peer.socket.sendall(icap("reqmod", "null-body=0"))
        assert answers(peer.rest(), "REQMOD")[0].status == 418
