"""A real clamd for tests: on a socket and a port of its own, with signatures that the tests write."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import socket
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from icapd.demo.child import Child, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CLAMD = shutil.which(
    "clamd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
)
EICAR_NAME = "Test.Eicar.UNOFFICIAL"  # what clamd calls it: signatures that are not signed get the suffix
_STARTED = 60.0  # s; an engine without signatures is ready in less than one, the machine may be busy

# Debian's clamd.conf where it matters here, with what icapd recommends: see docs/scanning.md.
SETTINGS: Mapping[str, str] = {
    "Foreground": "yes",
    "LocalSocketMode": "666",
    "FixStaleSocket": "yes",
    "TCPAddr": "127.0.0.1",
    "MaxThreads": "12",
    "MaxQueue": "100",
    "IdleTimeout": "30",
    "ReadTimeout": "180",
    "CommandReadTimeout": "30",
    "StreamMaxLength": "25M",
    "MaxFileSize": "25M",
    "MaxScanSize": "100M",
    "MaxRecursion": "16",
    "MaxFiles": "10000",
    "SelfCheck": "3600",
    "AlertExceedsMax": "yes",
    "AlertEncrypted": "yes",
    "AlertOLE2Macros": "yes",
    "LogTime": "yes",
}


def eicar() -> bytes:
    """The EICAR test file, put together here so that no scanner takes this one for it."""
    return b"".join([rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$", b"EICAR-STANDARD", b"-ANTIVIRUS-TEST-FILE", b"!$H+H*"])


def _daily(version: int) -> bytes:
    """A database as ClamAV publishes them, unsigned: a header of 512 bytes, then a tar file."""
    head = f"ClamAV-VDB:24 Nov 2026 14-00 +0000:{version}:1:90:X:X:tests:1795000000"
    signatures = f"Test.Daily-{version}:0:0:{b'daily signature of icapd tests'.hex()}\n".encode()
    info = f"{head}\ndaily.ndb:{len(signatures)}:{hashlib.sha256(signatures).hexdigest()}\n".encode()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", format=tarfile.USTAR_FORMAT) as members:
        for name, text in (("COPYING", b"none\n"), ("daily.info", info), ("daily.ndb", signatures)):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            members.addfile(member, io.BytesIO(text))
    return head.encode().ljust(512) + content.getvalue()


@dataclass(slots=True)
class Clam:
    """A clamd with its own folder; it can be killed, stopped and started again on the same addresses."""

    directory: Path
    port: int
    settings: Mapping[str, str]
    child: Child | None = field(default=None, init=False)

    @property
    def socket(self) -> Path:
        return self.directory / "clamd.sock"

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.process.pid

    @property
    def log(self) -> str:
        return (self.directory / "clamd.log").read_text("utf-8", "replace")

    def sign(self, name: str, content: bytes, *, offset: str = "0") -> None:
        """Add a signature: files with `content` at `offset` (`*` is anywhere). Loaded at start or reload."""
        with (self.directory / "database" / "tests.ndb").open("a") as database:
            database.write(f"{name}:0:{offset}:{content.hex()}\n")

    def publish(self, version: int) -> None:
        """Write a daily database of this version, which VERSION then tells. Loaded at start or reload."""
        (self.directory / "database" / "daily.cud").write_bytes(_daily(version))

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait`, until it answers."""
        assert CLAMD is not None
        command = [CLAMD, f"--config-file={self.directory / 'clamd.conf'}"]
        self.child = Child.start("clamd", command, self.directory / "clamd.log")
        if wait:
            self.child.wait_until(self.answers, _STARTED)

    def ask(self, command: str, seconds: float = 5.0) -> str:
        """Send one command over the Unix socket; return the answer, "" for none."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(str(self.socket))
            connection.sendall(f"z{command}\0".encode())
            answer = b""
            while not answer.endswith(b"\0") and (piece := connection.recv(4096)):
                answer += piece
        return answer.rstrip(b"\0").decode()

    def answers(self) -> bool:
        try:
            return self.ask("PING") == "PONG"
        except OSError:
            return False

    def pause(self) -> None:
        """Let it hang: connections are accepted by the kernel, and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash would; its socket file stays."""
        assert self.child is not None
        self.child.kill()

    def stop(self) -> None:
        if self.child is not None and self.child.process.poll() is None:
            self.resume()
            self.child.stop(5.0)


def make_clam(directory: Path, **settings: str) -> Clam:
    """Write configuration and signatures of a clamd into `directory`; it is not started.

    Keyword arguments replace lines of SETTINGS ("MaxThreads": "2"); "" leaves the line out.
    """
    (directory / "database").mkdir(parents=True)
    clam = Clam(directory, free_ports(1)[0], {**SETTINGS, **settings})
    clam.sign("Test.Eicar", eicar())
    clam.publish(1)
    places = {
        "LocalSocket": str(clam.socket),
        "TCPSocket": str(clam.port),
        "DatabaseDirectory": str(directory / "database"),
        "TemporaryDirectory": str(directory),
    }
    lines = [f"{name} {value}\n" for name, value in {**places, **clam.settings}.items() if value]
    (directory / "clamd.conf").write_text("".join(lines))
    return clam


@contextmanager
def clam_running(directory: Path, **settings: str) -> Iterator[Clam]:
    """Run a clamd in `directory` until the block ends; see `make_clam`."""
    clam = make_clam(directory, **settings)
    try:
        clam.start()
        yield clam
    finally:
        clam.stop()
