"""Workers as whole processes on loopback: spread, limits, log, end. See also test_workers_*.py."""

from __future__ import annotations

import signal
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import pytest

from icapd.errors import IcapdError
from tests.certificates import make_certificate
from tests.server.asking import Asking, reqmod
from tests.server.working import (
    Load,
    alive,
    descendants,
    kill,
    lines,
    pids,
    spread,
    status,
    told,
    until,
    working,
)
from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path


def test_connections_spread_evenly_and_each_has_its_answer(tmp_path: Path) -> None:
    with working(tmp_path, workers=3) as served:
        clients = [Asking(served.icap) for _ in range(31)]
        assert {client.ask(reqmod()).status for client in clients} == {204}
        assert sorted(spread(tmp_path)) == [10, 10, 11]
        for client in clients[::2]:
            client.socket.close()
        until(lambda: sum(spread(tmp_path)) == 15)
        more = [Asking(served.icap) for _ in range(16)]
        assert {client.ask(reqmod()).status for client in more} == {204}
        assert sorted(spread(tmp_path)) == [10, 10, 11]
        until(lambda: sum(each["requests"] for each in status(tmp_path)["workers"]) == 47)
        ids = [line["id"] for line in lines(tmp_path)]
        assert len(ids) == len(set(ids)) == 47


def test_one_worker_is_one_process(tmp_path: Path) -> None:
    with serving(tmp_path, options={"control": "control", "workers": "1"}) as served:
        with Asking(served.icap) as client:
            assert client.ask(reqmod()).status == 204
            (worker,) = status(tmp_path)["workers"]
            assert (worker["pid"], worker["connections"], worker["requests"]) == (served.pid, 1, 1)
        assert not descendants(served.pid)


def test_the_limit_of_connections_is_one_for_all(tmp_path: Path) -> None:
    with working(tmp_path, limits={"connections": "5", "drain": "1"}) as served:
        clients = [Asking(served.icap) for _ in range(5)]
        assert {client.ask(reqmod()).status for client in clients} == {204}
        with Asking(served.icap) as one_too_many:
            assert one_too_many.answer().status == 503
        until(lambda: sum(spread(tmp_path)) == 5)
        clients[0].socket.close()
        until(lambda: sum(spread(tmp_path)) == 4)
        with Asking(served.icap) as another:
            assert another.ask(reqmod()).status == 204


def test_peers_and_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(certificate))
    options: dict[str, Any] = {
        "listen": ["icaps://127.0.0.1:0", "icap://127.0.0.1:0"],
        "tls": {"certificate": certificate.name, "key": key.name},
        "peers": ["127.0.0.1/32"],
    }
    with working(tmp_path, **options) as served:
        secure = [Asking(served.icaps, tls=context) for _ in range(4)]
        assert {client.ask(reqmod()).status for client in secure} == {204}
        assert spread(tmp_path) == [2, 2]
        for client in secure:
            client.socket.close()
        until(lambda: spread(tmp_path) == [0, 0])
        with socket.socket() as stranger:
            stranger.bind(("127.0.0.9", 0))
            stranger.connect(("127.0.0.1", served.icap))
            stranger.settimeout(10)
            assert stranger.recv(1) == b""
        assert spread(tmp_path) == [0, 0]


def test_a_connection_that_is_gone_before_it_is_served_is_not_counted(tmp_path: Path) -> None:
    with working(tmp_path) as served:
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", served.icap)) as gone:
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        until(lambda: spread(tmp_path) == [0, 0])


def test_faults_at_the_start_end_it(tmp_path: Path) -> None:
    policy = {"access": [{"name": "x", "when": {"hots": ["a"]}, "action": "block"}]}
    with pytest.raises(IcapdError, match="ended with status 2"), working(tmp_path, policy=policy):
        pass
    assert "did you mean" in (tmp_path / "serve.log").read_text()


def test_drain_finishes_what_is_under_way(tmp_path: Path) -> None:
    with working(tmp_path, limits={"drain": "20"}) as served:
        busy = [Asking(served.icap) for _ in range(4)]
        idle = [Asking(served.icap) for _ in range(4)]
        request = reqmod()
        for client in busy:
            client.socket.sendall(request[:60])
        assert {client.ask(reqmod()).status for client in idle} == {204}
        served.child.process.send_signal(signal.SIGTERM)
        for client in idle:
            assert client.rest() == b""
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", served.icap))
        for client in busy:
            client.socket.sendall(request[60:])
            assert client.answer().status == 204
        assert served.child.process.wait(10) == 0
        assert len(lines(tmp_path)) == 8


def test_a_second_sigterm_ends_at_once(tmp_path: Path) -> None:
    with working(tmp_path, limits={"drain": "60", "head": "60"}) as served:
        below = descendants(served.pid)
        busy = [Asking(served.icap) for _ in range(4)]
        for client in busy:
            client.socket.sendall(b"REQMOD")
        until(lambda: spread(tmp_path) == [2, 2])
        time.sleep(0.2)
        served.child.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert served.child.process.poll() is None
        served.child.process.send_signal(signal.SIGTERM)
        assert served.child.process.wait(8) == 0
        until(lambda: not any(map(alive, below)))


def test_workers_end_with_the_supervisor(tmp_path: Path) -> None:
    with working(tmp_path) as served:
        below = descendants(served.pid)
        assert len(below) == 3  # two workers and the nursery
        kill(served.pid)
        until(lambda: not any(map(alive, below)), 5)
        served.child.process.wait()


def test_a_probe_is_known_to_all_workers(tmp_path: Path) -> None:
    with working(tmp_path) as served:
        token = told(tmp_path, "probe")["token"]
        clients = [Asking(served.icap) for _ in range(4)]
        for client in clients:
            http = ("Host: a.example", f"X-Icapd-Probe: {token}")
            client.ask(reqmod(http=http))
        seen = told(tmp_path, "probed", token=token)
        assert (seen["ok"], len(seen["seen"])) == (True, 4)
        assert told(tmp_path, "probed", token="0" * 32) == {"ok": False, "seen": []}


def test_the_log_is_whole_under_load(tmp_path: Path) -> None:
    with working(tmp_path) as served:
        with Load(served.icap, clients=8, pause=0.0) as load:
            time.sleep(2)
        assert not load.failed
        assert len(pids(tmp_path)) == 2
        until(lambda: len(lines(tmp_path)) == len(load.answered))
    assert sorted(line["url"] for line in lines(tmp_path)) == sorted(load.answered)
