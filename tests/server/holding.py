"""Stands in for systemd: holds a listening socket, starts icapd on it, and hears what it says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path

_BASH = 'export LISTEN_PID=$$; exec 3<&{fd}; exec "$@"'


class Holder:
    """One socket `icap`, one icapd at a time in `directory`; `said` is all that it told."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = int(self.listening.getsockname()[1])
        self.said: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._heard.bind(str(directory / "notify"))
        self._heard.settimeout(60)
        (directory / "policy.yaml").write_text(json.dumps(options.pop("policy", {"access": []})))
        settings = {
            "listen": ["systemd:icap"],
            "policy": "policy.yaml",
            "decisions": "decisions.log",
            "control": "control",
            "limits": {"drain": "10"},
        }
        (directory / "icapd.yaml").write_text(json.dumps(settings | options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            self.process.kill()
        self.listening.close()
        self._heard.close()

    @property
    def log(self) -> Path:
        """What icapd printed."""
        return self.directory / "serve.log"

    def launch(self, *, names: str = "icap", **more: str) -> subprocess.Popen[bytes]:
        """Start icapd as systemd does; do not wait for it."""
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "NOTIFY_SOCKET": str(self.directory / "notify"),
            "WATCHDOG_USEC": "2000000",
            "LISTEN_FDS": "1",
            "LISTEN_FDNAMES": names,
            **more,
        }
        bash = _BASH.format(fd=self.listening.fileno())
        command = [sys.executable, "-m", "icapd", "serve", "-c", str(self.directory / "icapd.yaml")]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                ["/bin/bash", "-c", bash, "icapd", *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=[self.listening.fileno()],
                start_new_session=True,
            )
        return self.process

    def start(self) -> None:
        """Start icapd and wait until it says it is ready."""
        self.launch()
        self.wait_for("READY=1")

    def stop(self) -> int:
        """Ask it to end; return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def wait_for(self, word: str) -> list[str]:
        """Read what it says up to a message with the line `word`; return that message's lines."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            lines = self._heard.recv(4096).decode().split("\n")
            self.said += lines
            if word in lines:
                return lines
        raise AssertionError(f"{word} was not said")
