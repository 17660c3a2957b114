"""`icapd reload` against a real icapd: the new policy, or the old one and every fault of the new."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from icapd.cli.main import main
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = "access:\n  - {name: a, when: {host: [a.example]}, action: block}\n"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """The folder of an icapd with a control socket."""
    with serving(tmp_path, options={"control": "control.sock"}):
        yield tmp_path


def run_reload(directory: Path) -> int:
    return main(["reload", "-c", str(directory / "icapd.yaml")])


def test_a_changed_policy(running: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (running / "policy.yaml").write_text(BLOCK)
    assert run_reload(running) == 0
    assert capsys.readouterr().out.endswith(" serves (changed)\n")
    assert run_reload(running) == 0
    assert capsys.readouterr().out.endswith(" serves (unchanged)\n")


def test_a_broken_policy_is_refused_with_all_its_faults(
    running: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (running / "policy.yaml").write_text(
        "access:\n  - {name: a, when: {hots: [x]}, action: block}\n  - {b: c}\n"
    )
    assert run_reload(running) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "icapd: reload refused, the old policy stays:"
    assert any(f"{running}/policy.yaml:2: " in line for line in lines)
    assert any(f"{running}/policy.yaml:3: " in line for line in lines)


def test_what_needs_a_restart_is_said(running: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = running / "icapd.yaml"
    config.write_text(config.read_text().rstrip().removesuffix("}") + ', "service": {"preview": 99}}\n')
    assert run_reload(running) == 0
    assert "note: `service` changed: it takes effect at the next restart" in capsys.readouterr().out


def test_the_socket_is_its_owners_alone(running: Path) -> None:
    assert (running / "control.sock").stat().st_mode & 0o777 == 0o600


def test_another_icapd_does_not_take_the_socket_over(
    running: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    with (
        pytest.raises(Exception, match="another icapd does"),
        serving(other, options={"control": str(running / "control.sock")}),
    ):
        pass
    assert run_reload(running) == 0


def test_a_socket_left_behind_is_taken_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(tmp_path / "control.sock"))
    with serving(tmp_path, options={"control": "control.sock"}):
        assert run_reload(tmp_path) == 0


@pytest.mark.parametrize("request_line", [b"rubbish\n", b'{"command": "stop"}\n', b"[]\n", b"\xff\n"])
def test_another_request_is_refused(running: Path, request_line: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(10)
        asking.connect(str(running / "control.sock"))
        asking.sendall(request_line)
        assert asking.recv(4096).startswith(b'{"ok": false')


def test_no_control_socket_is_configured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.yaml").write_text(BLOCK)
    (tmp_path / "icapd.yaml").write_text('listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\n')
    assert run_reload(tmp_path) == 1
    assert capsys.readouterr().err.endswith(
        "icapd.yaml names no `control` socket: add one, or send SIGHUP to icapd\n"
    )


def test_nobody_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.yaml").write_text(BLOCK)
    (tmp_path / "icapd.yaml").write_text(
        'listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\ncontrol: gone.sock\n'
    )
    assert run_reload(tmp_path) == 1
    assert capsys.readouterr().err == (
        f"icapd: no icapd answers at the control socket {tmp_path}/gone.sock: No such file or directory\n"
    )


def test_something_else_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.yaml").write_text(BLOCK)
    (tmp_path / "icapd.yaml").write_text(
        'listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\ncontrol: other.sock\n'
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(tmp_path / "other.sock"))
        other.listen()

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"[1]\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert run_reload(tmp_path) == 1
        thread.join(10)
    assert "is not icapd" in capsys.readouterr().err
