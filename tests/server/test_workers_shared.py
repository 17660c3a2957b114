"""What one worker notes and another needs: tunnels, their tickets, downloads that were cut."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.server.asking import Asking, chunks, reqmod, respmod
from tests.server.working import kill, lines, pids, spread, until, working

if TYPE_CHECKING:
    from pathlib import Path

FRAGMENT = "X-Icapd-Fragment: 1"
POLICY = {
    "bypass": [{"name": "bank", "when": {"host": ["bank.example"]}}],
    "access": [
        {"name": "path", "when": {"url": ["https://half.example/good"]}, "action": "allow"},
        {"name": "rest", "when": {"host": ["half.example"]}, "action": "block"},
    ],
}


def client(number: int) -> tuple[str, ...]:
    return ("Allow: 204", FRAGMENT, "X-Client-IP: 192.0.2.7", f"X-Client-Port: {number}")


def connect(host: str, port: int) -> bytes:
    return reqmod(f"{host}:443", "CONNECT", lines=client(port))


def inside(url: str, port: int) -> bytes:
    host = url.split("/")[2]
    return reqmod(url, http=(f"Host: {host}",), lines=client(port))


def test_a_tunnel_is_known_to_all_workers_and_outlives_the_one_that_opened_it(tmp_path: Path) -> None:
    with working(tmp_path, policy=POLICY) as served:
        first, second = Asking(served.icap), Asking(served.icap)
        assert spread(tmp_path) == [1, 1]
        for port in range(1000, 1020):
            assert first.ask(connect("half.example", port)).status == 204
        assert second.ask(inside("https://half.example/good", 1000)).status == 204
        assert second.ask(inside("https://other.example/", 1001)).status == 200  # not what it was opened for
        pid = pids(tmp_path)[0]
        kill(pid)
        until(lambda: pids(tmp_path)[0] not in {0, pid})
        third = Asking(served.icap)
        assert third.ask(inside("https://half.example/good", 1002)).status == 204
        assert third.ask(inside("https://other.example/", 1003)).status == 200
        until(lambda: (tmp_path / "decisions.log").read_text().count('"event":"ticket-misused"') == 2)


def test_a_download_that_one_worker_cut_is_explained_by_the_others_once(tmp_path: Path) -> None:
    (tmp_path / "rules.yar").write_text('rule Test_Malware { strings: $a = "MALWARE" condition: $a }')
    adapters = [{"yara": {"rules": "rules.yar"}}]
    who = ("X-Client-IP: 192.0.2.7",)
    opens = ("Host: a.example", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    with working(tmp_path, workers=3, adapters=adapters) as served:
        first, second, third = (Asking(served.icap) for _ in range(3))
        assert spread(tmp_path) == [1, 1, 1]
        body = chunks(b"x" * 60_000, b"y" * 60_000, b"MALWARE")
        head = respmod("http://a.example/x", lines=who, body=b"")
        with contextlib.suppress(OSError):
            first.socket.sendall(head + body)
            while first.socket.recv(65536):
                pass
        until(lambda: any(line.get("late") for line in lines(tmp_path)))
        page = second.ask(reqmod("http://a.example/next", http=opens, lines=("Allow: 204", *who)))
        assert b"Test_Malware" in (page.body or b"")
        assert (
            third.ask(reqmod("http://a.example/next", http=opens, lines=("Allow: 204", *who))).status == 204
        )
        pid = pids(tmp_path)[1]
        kill(pid)
        until(lambda: pids(tmp_path)[1] not in {0, pid})
        again = third.ask(reqmod("http://a.example/x", lines=("Allow: 204", *who)))
        assert (again.http_head or b"").startswith(b"HTTP/1.1 403 ")
        fresh = Asking(served.icap)  # at the worker that was born later
        again = fresh.ask(reqmod("http://a.example/x", lines=("Allow: 204", *who)))
        assert (again.http_head or b"").startswith(b"HTTP/1.1 403 ")
