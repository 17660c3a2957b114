"""A real rsyslogd for tests: its own configuration, files and pid, listening on loopback only."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RSYSLOGD = shutil.which("rsyslogd", path=f"{os.environ['PATH']}:/usr/sbin")
TLS = any(Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so"))
_TEMPLATE = r"""
module(load="imudp")
module(load="imtcp" {driver})
global(workDirectory="{directory}" maxMessageSize="16k" {global_tls})
main_queue(queue.type="Direct")
template(name="whole" type="string" string="%syslogfacility-text%.%syslogseverity-text%\t%app-name%\t%procid%\t%msgid%\t%structured-data%\t%msg%\n")
input(type="imudp" address="127.0.0.1" port="{udp}")
input(type="imtcp" address="127.0.0.1" port="{tcp}")
action(type="omfile" file="{out}" template="whole" asyncWriting="off" flushOnTXEnd="on")
"""


def free_port() -> int:
    """A port of TCP that nobody has; it may well be free for UDP too."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Rsyslog:
    """One receiver: `stop` and `kill` end its process, `start` begins another with the same ports and file."""

    def __init__(
        self,
        directory: Path,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        ca: Path | None = None,
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.tcp, self.udp = free_port(), free_port()
        self.out = directory / "out.log"
        self._pid_file = directory / "pid"
        self._conf = directory / "rsyslog.conf"
        driver = global_tls = ""
        if certificate is not None:
            global_tls = (
                f'defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{ca}" '
                f'defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}"'
            )
            driver = 'streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid"'
        values = {"driver": driver, "directory": directory, "global_tls": global_tls, "out": self.out}
        self._conf.write_text(_TEMPLATE.format(udp=self.udp, tcp=self.tcp, **values))
        self._process: subprocess.Popen[bytes] | None = None
        self._log = directory / "rsyslogd.err"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        assert RSYSLOGD is not None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [RSYSLOGD, "-n", "-f", self._conf, "-i", self._pid_file], stdout=log, stderr=log
            )
        try:
            until(self._listens, "rsyslogd does not listen", self._log.read_text)
        except AssertionError:
            self.kill()
            raise

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.tcp)) == 0

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)
        self._process = None
        self._pid_file.unlink(missing_ok=True)

    def count(self) -> int:
        return self.out.read_bytes().count(b"\n") if self.out.exists() else 0

    def lines(self) -> list[list[str]]:
        """What arrived: facility.severity, name, process, message id, structured data and text of each."""
        text = self.out.read_text() if self.out.exists() else ""
        return [line.split("\t", 5) for line in text.splitlines()]


def until(true: Callable[[], bool], what: str, more: Callable[[], str] = lambda: "") -> None:
    """Wait until something holds, which it does soon unless the machine is very busy."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, f"{what} {more()}"
        time.sleep(0.02)
