"""Sockets that systemd holds, what it is told, and restarts that lose nothing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from twisted.internet.defer import Deferred

from icapd.demo.child import free_ports
from icapd.errors import IcapdError
from icapd.options import Listen
from icapd.server.reload import Reloaded
from icapd.server.systemd import Announced, Notifier, bound
from tests.server.asking import Asking, reqmod
from tests.server.holding import Holder
from tests.server.working import Load, lines, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ICAP = Listen("icap", "127.0.0.1", 1344, "systemd:icap", "icap")
OWN = Listen("icap", "127.0.0.1", 0, "icap://127.0.0.1:0")


# -- sockets -----------------------------------------------------------------------------------------


def test_without_systemd_names_it_is_our_own_socket() -> None:
    [one] = bound([OWN], {})
    assert (one.listen, one.held) == (OWN, None)


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        ({}, "no socket was handed over"),
        ({"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "icap"}, "no socket was handed over"),
        ({"LISTEN_PID": "x", "LISTEN_FDS": "-1"}, "no socket was handed over"),
    ],
)
def test_a_name_without_a_socket_is_refused(environ: dict[str, str], fault: str) -> None:
    with pytest.raises(IcapdError, match=rf"^listen systemd:icap: {fault}"):
        bound([ICAP], environ)
    assert not environ  # no child of ours takes them for its own


def run_with_sockets(kinds: str, names: str) -> str:
    """Ask a process that begins with these sockets what it finds."""
    code = """
import os, socket, sys
kinds, names = sys.argv[1:3]
made = []
for kind in kinds.split():
    family, way = {"tcp": (socket.AF_INET, socket.SOCK_STREAM), "six": (socket.AF_INET6, socket.SOCK_STREAM),
        "udp": (socket.AF_INET, socket.SOCK_DGRAM), "unix": (socket.AF_UNIX, socket.SOCK_STREAM),
        "deaf": (socket.AF_INET, socket.SOCK_STREAM), "file": (None, None)}[kind]
    if family is None:
        made.append(os.open("/dev/null", os.O_RDONLY)); continue
    one = socket.socket(family, way)
    if family != socket.AF_UNIX:
        one.bind(("::1" if kind == "six" else "127.0.0.1", 0))
    if kind in {"tcp", "six"}:
        one.listen(5)
    made.append(one.detach())
high = [os.dup2(fd, 50 + at) for at, fd in enumerate(made)]
for at, fd in enumerate(high):
    os.dup2(fd, 3 + at)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(high)), "LISTEN_FDNAMES": names}
from icapd.errors import IcapdError
from icapd.options import Listen
from icapd.server.systemd import bound
try:
    for each in bound([Listen("icap", "127.0.0.1", 1344, "systemd:icap", "icap")]):
        assert each.held is not None and not os.get_inheritable(each.held.fileno())
        assert each.listen.port == each.held.getsockname()[1]
        print(each.held.fileno(), each.listen.host)
except IcapdError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, kinds, names]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("kinds", "names", "found"),
    [
        ("tcp", "icap", "3 127.0.0.1\n"),
        ("tcp six tcp", "icap:icap:icap", "3 127.0.0.1\n4 ::1\n5 127.0.0.1\n"),
        ("tcp tcp", "other:icap", "4 127.0.0.1\n"),
        ("file tcp", "icap:icap", "4 127.0.0.1\n"),
    ],
)
def test_every_socket_of_the_name_is_served(kinds: str, names: str, found: str) -> None:
    assert run_with_sockets(kinds, names) == found


@pytest.mark.parametrize("kind", ["udp", "unix", "deaf"])
def test_what_cannot_be_asked_on_is_refused(kind: str) -> None:
    assert "not a listening TCP socket" in run_with_sockets(kind, "icap")


def test_other_names_are_told() -> None:
    said = run_with_sockets("tcp tcp", "web:admin")
    assert "no socket of that name, but admin, web (FileDescriptorName=" in said
    assert "but unknown" in run_with_sockets("tcp", "")


# -- what systemd is told ----------------------------------------------------------------------------


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(5)
        yield ear


def status() -> dict[str, object]:
    return {"digest": "ab", "connections": 2, "workers": [{"requests": 3}, {"requests": 4}]}


def test_signs_of_life_and_now_and_then_how_we_are(heard: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": heard.getsockname(), "WATCHDOG_USEC": "30000000", "OTHER": "x"}
    notifier = Notifier.of(environ)
    assert environ == {"OTHER": "x"}
    notifier.ready("ready on\nicap://a\n")
    assert heard.recv(999) == b"READY=1\nSTATUS=ready on icap://a"
    notifier.alive(100.0, status)
    assert heard.recv(999) == b"WATCHDOG=1\nSTATUS=policy ab, 2 connections, 7 requests"
    notifier.alive(109.0, status)
    assert heard.recv(999) == b"WATCHDOG=1"
    notifier.alive(110.0, status)
    assert b"STATUS=policy" in heard.recv(999)
    notifier.stopping()
    assert heard.recv(999).startswith(b"STOPPING=1\n")


def test_another_process_s_watchdog_is_not_ours(heard: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": heard.getsockname(), "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}
    notifier = Notifier.of(environ)
    assert not notifier.watched
    notifier.alive(0.0, status)
    assert heard.recv(999).startswith(b"STATUS=")
    notifier.alive(1.0, status)
    heard.setblocking(False)
    with pytest.raises(BlockingIOError):
        heard.recv(999)


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "@nobody"])
def test_nobody_who_hears_is_no_fault(address: str) -> None:
    notifier = Notifier.of({"NOTIFY_SOCKET": address})
    notifier.ready("x")
    notifier.alive(0.0, status)


class Reloads:
    def __init__(self) -> None:
        self.waiting: list[Deferred[Reloaded]] = []

    def reload(self) -> Deferred[Reloaded]:
        self.waiting.append(Deferred())
        return self.waiting[-1]


def test_a_reload_is_told_from_its_beginning_to_the_end_of_the_last(heard: socket.socket) -> None:
    inner = Reloads()
    announced = Announced(inner, Notifier.of({"NOTIFY_SOCKET": heard.getsockname()}))
    results: list[Reloaded] = []
    for _ in range(2):
        announced.reload().addCallback(results.append)
        assert heard.recv(999) == b"RELOADING=1\nSTATUS=reloading"
    inner.waiting[0].callback(Reloaded("ab", changed=True))
    inner.waiting[1].callback(Reloaded("ab", changed=False, problems=("policy.yaml:3: bad",)))
    assert heard.recv(999) == b"READY=1\nSTATUS=reload refused: policy.yaml:3: bad"
    assert [each.digest for each in results] == ["ab", "ab"]


# -- the real process --------------------------------------------------------------------------------


def test_it_says_ready_reloading_alive_and_stopping(tmp_path: Path) -> None:
    with Holder(tmp_path) as holder:
        holder.start()
        assert f"ready on icap://127.0.0.1:{holder.port}" in holder.log.read_text()
        with Asking(holder.port) as peer:
            assert peer.ask(reqmod()).status == 204
        holder.wait_for("WATCHDOG=1")
        assert holder.process is not None
        holder.process.send_signal(signal.SIGHUP)
        holder.wait_for("RELOADING=1")
        assert any(line.startswith("STATUS=policy ") for line in holder.wait_for("READY=1"))
        (tmp_path / "policy.yaml").write_text("access: nonsense\n")
        assert not told(tmp_path, "reload")["ok"]
        holder.wait_for("RELOADING=1")
        assert any(line.startswith("STATUS=reload refused: ") for line in holder.wait_for("READY=1"))
        assert holder.stop() == 0
        holder.wait_for("STOPPING=1")


def test_a_socket_of_another_name_ends_the_start_in_one_line(tmp_path: Path) -> None:
    with Holder(tmp_path) as holder:
        assert holder.launch(names="web").wait(30) == 1
        [line] = holder.log.read_text().splitlines()
        assert line.startswith(
            "icapd: listen systemd:icap: systemd hands over no socket of that name, but web"
        )


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="needs systemd-socket-activate")
def test_systemd_s_own_program_starts_it_at_the_first_connection(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with Holder(tmp_path) as holder:  # writes the files only
        command = [sys.executable, "-m", "icapd", "serve", "-c", str(tmp_path / "icapd.yaml")]
        path = f"PYTHONPATH={os.pathsep.join(filter(None, sys.path))}"
        activate = ["systemd-socket-activate", f"--listen=127.0.0.1:{port}", "--fdname=icap", "-E", path]
        with holder.log.open("ab") as out:
            process = subprocess.Popen([*activate, *command], stdout=out, stderr=out, start_new_session=True)
        try:
            deadline = time.monotonic() + 20
            while "Listening on" not in holder.log.read_text():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            with Asking(port) as peer:
                assert peer.ask(reqmod()).status == 204
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(("workers", "restarts"), [(1, 5), (2, 3)])
def test_restarts_under_load_lose_no_request(tmp_path: Path, workers: int, restarts: int) -> None:
    """Eight clients ask without pause over kept connections and try again only to connect."""
    with Holder(tmp_path, workers=str(workers)) as holder:
        holder.start()
        with Load(holder.port, clients=8, pause=0.0005) as load:
            for _ in range(restarts):
                before = len(load.answered)
                assert holder.stop() == 0
                holder.start()
                deadline = time.monotonic() + 20
                while len(load.answered) < before + 1000:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
        assert holder.stop() == 0
    print(f"{restarts} restarts, {len(load.answered)} requests answered, {len(load.failed)} lost")
    assert load.failed == []
    assert load.refusals == 0
    logged = [line["url"] for line in lines(tmp_path)]
    assert sorted(logged) == sorted(load.answered)
