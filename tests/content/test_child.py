import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from icapd.content import wire
from icapd.content.budget import Bounds
from icapd.content.model import Report, Shape
from tests.content.making import MARK, body_of, read, walk, zipped

START = "import sys; from icapd.content.child import main; sys.exit(main(int(sys.argv[1])))"


class Child:
    def __init__(self, link: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self.link, self.process = link, process
        self.frames = wire.Frames()

    def take(self) -> tuple[Any, list[int]]:
        """One frame, and what descriptors came with it and after."""
        fds: list[int] = []
        value = None
        while value is None or len(fds) < wire.descriptors_of(value | {"items": value.get("items", [])}):
            data, came, _, _ = socket.recv_fds(self.link, 65536, 250)
            assert data
            fds += came
            self.frames.feed(data)
            value = value or self.frames.take()
        self.frames.skip(100)
        return value, fds

    def ask(self, data: bytes, shape: Shape = Shape(), size: int = 0) -> Report:  # noqa: B008
        with body_of(data) as body:
            socket.send_fds(self.link, [wire.order(shape, size or body.size)], [body.fd])
            value, fds = self.take()
            return wire.read_answer(value, os.dup(body.fd), fds)


@contextmanager
def child(memory: int = 512 << 20, parent: int | None = None, **bounds: Any) -> Iterator[Child]:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", START, str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )
        made = Child(ours, process)
        values = {name: getattr(Bounds(**bounds), name) for name in Bounds.__slots__}
        settings = {
            "bounds": values,
            "memory": memory,
            "directory": None,
            "md5": True,
            "parent": parent or os.getpid(),
        }
        ours.sendall(wire.frame(settings))
        ours.settimeout(30)
        yield made
    assert process.wait(30) == 0  # it ends with the socket


def test_it_says_what_the_walk_says_here() -> None:
    with child() as one:
        assert "ready" in one.take()[0]
        for data in (
            zipped(("a", MARK), ("b", zipped(("c", b"x")))),
            MARK,
            b"",
            zipped(*((str(n), b"%d" % n) for n in range(300))),
        ):
            report = one.ask(data)
            assert read(report).plain == walk(data).plain
            report.close()


def test_it_is_bounded() -> None:
    with child(memory=300 << 20, members=50) as one:
        pid = one.take()[0]["ready"]
        assert resource.prlimit(pid, resource.RLIMIT_AS) == (300 << 20, 300 << 20)
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] == 50 + 256
        one.ask(MARK).close()
        assert 10 < resource.prlimit(pid, resource.RLIMIT_CPU)[0] < 60


def test_it_keeps_no_descriptors() -> None:
    with child() as one:
        folder = Path(f"/proc/{one.take()[0]['ready']}/fd")
        one.ask(zipped(("a", MARK))).close()
        for _ in range(20):
            one.ask(zipped(("a", MARK), ("b", b"x" * 2_000_000))).close()
        for _ in range(1000):  # it lets go after it has answered
            if len(list(folder.iterdir())) <= 4:  # three standard ones and the socket
                return
            time.sleep(0.01)
        raise AssertionError(list(folder.iterdir()))


def test_without_its_parent_it_does_not_begin() -> None:
    with child(parent=1) as one:
        assert one.link.recv(100) == b""


def test_it_has_no_network_where_that_can_be() -> None:
    ours = Path("/proc/self/ns/net").readlink()
    may = (
        subprocess.run(
            ["unshare", *([] if os.geteuid() == 0 else ["-U"]), "-n", "true"], check=False
        ).returncode
        == 0
    )
    with child() as made:
        made.take()
        theirs = Path(f"/proc/{made.process.pid}/ns/net").readlink()
        assert (theirs != ours) is may
        assert made.ask(zipped(("a", MARK))).items[1:]
        assert made.ask(zipped(("big", bytes(3 << 20)))).items[1:]  # a file of its own
