"""Child processes that are started, watched and ended by their own id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_POLL = 0.02  # s between two looks at a starting child


def free_ports(count: int) -> list[int]:
    """`count` different TCP ports of 127.0.0.1 that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def accepts(port: int) -> bool:
    """Whether something accepts connections at this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True, slots=True)
class Child:
    """A running program; its standard output and error are in `log`."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, name: str, command: Sequence[str], log: Path) -> Child:
        """Start `command` in a process group of its own, so that a terminal's Ctrl-C reaches only us.

        Appends to `log`. Raises IcapdError if the program cannot be executed.
        """
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            with log.open("ab") as out:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            msg = f"{name}: cannot run {command[0]}: {error.strerror}"
            raise IcapdError(msg) from error
        return cls(name, process, log)

    def wait_until(self, ready: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until `ready()`. Raises IcapdError, with the log's last line, if it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.require_running()
            if time.monotonic() > deadline:
                raise IcapdError(self._failure(f"not ready after {seconds:.0f} s"))
            time.sleep(_POLL)

    def require_running(self) -> None:
        """Raise IcapdError, with the log's last line, if it has ended."""
        status = self.process.poll()
        if status is not None:
            raise IcapdError(self._failure(f"ended with status {status}"))

    def stop(self, seconds: float = 10.0) -> int:
        """End it: SIGTERM, and SIGKILL to its own group if that does not help. Return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def kill(self) -> None:
        """End it without warning, as a crash would."""
        self.process.kill()
        self.process.wait()

    def output(self) -> str:
        """Return what it has printed so far."""
        return self.log.read_text("utf-8", "replace")

    def _failure(self, what: str) -> str:
        lines = self.output().strip().splitlines()
        return f"{self.name} {what}: {lines[-1] if lines else 'no output'} (log: {self.log})"
