"""`icapd ping`: 0 when every service of every listener answers OPTIONS, else 1 and one line each."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING

from icapd.cli.main import main
from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def run_ping(directory: Path, port: int) -> int:
    config = directory / "asked.yaml"
    config.write_text(json.dumps({"listen": [f"icap://127.0.0.1:{port}"], "policy": "policy.yaml"}))
    return main(["ping", "-c", str(config), "--timeout", "5"])


def test_each_service_of_a_running_icapd_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(tmp_path) as served:
        assert run_ping(tmp_path, served.icap) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0].rpartition("/")[2] for line in lines] == ["reqmod", "respmod"]
    assert all(': 200 OK, ISTag "icapd-' in line for line in lines)


def test_nobody_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert run_ping(tmp_path, port) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"icapd: icap://127.0.0.1:{port}/{service}: Connection refused" for service in ("reqmod", "respmod")
    ]


def test_something_else_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(10)

        def answer() -> None:
            for _ in range(2):
                connection, _ = other.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert run_ping(tmp_path, other.getsockname()[1]) == 1
        thread.join(10)
    assert "does not begin with an ICAP/1.0 status line" in capsys.readouterr().err


def test_workers_are_told_of_where_there_is_a_control_socket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, options={"workers": "2", "control": "control"}) as served:
        document = json.loads((tmp_path / "icapd.yaml").read_text())
        document["listen"] = [f"icap://127.0.0.1:{served.icap}"]
        (tmp_path / "asked.yaml").write_text(json.dumps(document))
        assert main(["ping", "-c", str(tmp_path / "asked.yaml")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[2:]] == ["worker 0", "worker 1"]
    assert " connections, 0 requests, 0 restarts, policy " in lines[2]
