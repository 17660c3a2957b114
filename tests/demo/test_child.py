import os
import socket
import sys
from pathlib import Path

import pytest

from icapd.demo.child import Child, accepts, free_ports
from icapd.errors import IcapdError

STUBBORN = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def python(tmp_path: Path, code: str) -> Child:
    return Child.start("child", [sys.executable, "-c", code], tmp_path / "child.log")


def test_a_child_that_is_ready_and_ends(tmp_path: Path) -> None:
    child = python(tmp_path, "import time; print('up', flush=True); time.sleep(60)")
    child.wait_until(lambda: "up" in child.output())
    assert child.stop() == -15
    with pytest.raises(ProcessLookupError):
        os.kill(child.process.pid, 0)


def test_a_child_that_will_not_end_is_killed(tmp_path: Path) -> None:
    child = python(tmp_path, STUBBORN)
    child.wait_until(lambda: "up" in child.output())
    assert child.stop(0.1) == -9


def test_a_child_that_fails_is_told_in_one_line_with_its_last_words(tmp_path: Path) -> None:
    child = python(tmp_path, "import sys; print('first'); sys.exit('no such port')")
    with pytest.raises(IcapdError) as caught:
        child.wait_until(lambda: False)
    assert str(caught.value) == f"child ended with status 1: no such port (log: {tmp_path}/child.log)"


def test_a_child_that_is_never_ready(tmp_path: Path) -> None:
    child = python(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(IcapdError, match="child not ready after 0 s: no output"):
        child.wait_until(lambda: False, 0.1)
    child.stop()


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(IcapdError, match="child: cannot run /nowhere: No such file or directory"):
        Child.start("child", ["/nowhere"], tmp_path / "child.log")


def test_free_ports_differ_and_are_free() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert not any(map(accepts, ports))
    with socket.create_server(("127.0.0.1", ports[0])):
        assert accepts(ports[0])
