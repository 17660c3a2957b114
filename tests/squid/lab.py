"""A real Squid under the generated fragment, a recording origin, and a stand-in for icapd.

The stand-in answers ICAP by a table of host names. It is not icapd: here the fragment is under
test, and tests/e2e proves both together.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.config import load_config
from icapd.pki import BumpCa, make_bump_ca, make_certgen_db, make_server_certificate
from icapd.squid import parse_check, write_fragments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from icapd.pki import KeyKind

SQUID = os.environ.get("ICAPD_TEST_SQUID", "/usr/sbin/squid")
LOCALHOST = "127.0.0.1"
PAGE = (
    "<!DOCTYPE html><title>Bl\u00f6cked</title><p>&lt;b&gt; 100%20 %a %% @Squid{%un} \u201cquoted\u201d</p>"
)
LOCATION = "https://portal.test/why?u=https%3A%2F%2Fredirect.test%2F&x=%25a#top"
UNCHANGED = b'ICAP/1.0 204 No Modifications\r\nISTag: "t"\r\n\r\n'
NAMES = (
    "allowed", "blocked", "redirect", "spliced", "ended", "checked", "fickle", "odd", "portal", "other",
)  # fmt: skip


@dataclass
class Ask:
    """One ICAP request the stand-in saw."""

    icap: dict[str, str]
    http: str

    @property
    def host(self) -> str:
        target = self.http.split(" ", 2)[1]
        return target.partition("://")[2].split("/")[0] if "://" in target else target

    @property
    def method(self) -> str:
        return self.http.split(" ", 1)[0]


class StandIn(socketserver.ThreadingTCPServer):
    """ICAP by table: a marked CONNECT for some hosts, 204 for the others."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOCALHOST, 0), _Conversation)
        self.asks: list[Ask] = []
        self.responses: list[Ask] = []

    def answer(self, ask: Ask) -> bytes:
        if ask.method != "CONNECT":
            return UNCHANGED
        name = ask.host.split(".")[0]
        icap, mark = {
            "blocked": (f"X-Icapd-Page: {PAGE}\r\n", "X-Icapd-Verdict: block"),
            "redirect": (f"X-Icapd-Location: {LOCATION}\r\n", "X-Icapd-Verdict: redirect"),
            "odd": ("", "X-Icapd-Verdict: shrug"),
            "spliced": ("", "X-Icapd-Bump: splice"),
            "checked": ("", "X-Icapd-Bump: splice_if_sni_matches"),
            "fickle": ("", "X-Icapd-Bump: splice" if ask.icap.get("x-sni", "-") == "-" else ""),
            "ended": ("", "X-Icapd-Bump: terminate"),
        }.get(name, ("", ""))
        if name == "checked" and ask.icap.get("x-sni", "-").lower() == ask.host.partition(":")[0]:
            mark = "X-Icapd-Bump: splice"
        if not mark:
            return UNCHANGED
        head = f"{ask.http.rstrip()}\r\n{mark}\r\n\r\n".encode("latin-1")
        reply = f'ICAP/1.0 200 OK\r\nISTag: "t"\r\nX-Icapd-Decision: d42\r\n{icap}'.encode()
        return reply + b"Encapsulated: req-hdr=0, null-body=%d\r\n\r\n" % len(head) + head


class _Conversation(socketserver.StreamRequestHandler):
    server: StandIn

    def handle(self) -> None:
        while line := self.rfile.readline().decode("latin-1"):
            icap = {}
            for raw in iter(self.rfile.readline, b"\r\n"):
                name, _, value = raw.decode("latin-1").partition(":")
                icap[name.lower()] = value.strip()
            if line.startswith("OPTIONS"):
                self.wfile.write(
                    b'ICAP/1.0 200 OK\r\nMethods: REQMOD, RESPMOD\r\nISTag: "t"\r\nAllow: 204\r\n'
                    b"Options-TTL: 3600\r\nEncapsulated: null-body=0\r\n\r\n"
                )
                continue
            parts = [part.strip().split("=") for part in icap["encapsulated"].split(",")]
            head = self.rfile.read(int(parts[-1][1])).decode("latin-1")
            while parts[-1][0] != "null-body" and (size := int(self.rfile.readline().split(b";")[0], 16)):
                self.rfile.read(size + 2)
            if parts[-1][0] != "null-body":
                self.rfile.readline()
            if line.startswith("REQMOD"):
                ask = Ask(icap, head)
                self.server.asks.append(ask)
                self.wfile.write(self.server.answer(ask))
            else:
                self.server.responses.append(Ask(icap, head))
                self.wfile.write(UNCHANGED)


class Origin(socketserver.ThreadingTCPServer):
    """An HTTPS or HTTP server that counts accepted connections and keeps the heads of requests."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__((LOCALHOST, 0), _OneResponse)
        self.context = context
        self.accepted = 0
        self.heads: list[str] = []

    @property
    def port(self) -> int:
        return self.server_address[1]


class _OneResponse(socketserver.BaseRequestHandler):
    server: Origin

    def handle(self) -> None:
        self.server.accepted += 1
        connection = self.request
        with contextlib.suppress(OSError):
            if self.server.context is not None:
                connection = self.server.context.wrap_socket(connection, server_side=True)
            head = b""
            while not head.endswith(b"\r\n\r\n") and (data := connection.recv(4096)):
                head += data
            self.server.heads.append(head.decode("latin-1"))
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n"
                b"X-Icapd-Verdict: block\r\n\r\norigin"
            )
            connection.close()


@dataclass
class Seen:
    """What curl saw; `connect` is the status of the CONNECT."""

    exit: int
    status: int
    connect: int
    location: str
    body: str
    head: str
    issuer: str


@dataclass
class Lab:
    """All of it, running."""

    directory: Path
    ca: BumpCa
    icap: StandIn
    https: Origin
    http: Origin
    bump_port: int
    plain_port: int
    squid: subprocess.Popen[bytes] | None = None
    trust: list[Path] = field(default_factory=list)

    def forget(self) -> None:
        """Begin a new record of who was asked and contacted."""
        self.icap.asks.clear()
        self.icap.responses.clear()
        for origin in (self.http, self.https):
            origin.accepted = 0
            origin.heads.clear()

    def fetch(self, url: str, *options: str, port: int | None = None) -> Seen:
        """Ask by curl through the bumping port, trusting the bump CA and the origin's."""
        self.forget()
        body, head = self.directory / "body", self.directory / "head"
        body.write_text("")
        head.write_text("")
        done = subprocess.run(
            ["curl", "-sS", "-v", "-m", "15", "-x", f"http://{LOCALHOST}:{port or self.bump_port}",
             "--cacert", str(self.directory / "trust.pem"), "-o", str(body), "-D", str(head),
             "-w", "%{http_code} %{http_connect} %{redirect_url}", *options, url],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        status, connect, location = done.stdout.split(" ", 2)
        issuer = next((line for line in done.stderr.splitlines() if "issuer:" in line), "")
        return Seen(done.returncode, int(status), int(connect), location, body.read_text(),
                    head.read_text(), issuer)  # fmt: skip

    @property
    def log(self) -> str:
        return (self.directory / "cache.log").read_text(errors="replace")

    def access(self, name: str) -> str:
        """Return an access log: "squid" or "icapd", by its format."""
        return (self.directory / f"{name}.log").read_text(errors="replace")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


BASE = """\
pid_filename {d}/squid.pid
cache_log {d}/cache.log
coredump_dir {d}
netdb_filename none
pinger_enable off
cache deny all
cache_mem 8 MB
hosts_file {d}/hosts
dns_nameservers 127.0.0.1
dns_timeout 1 second
shutdown_lifetime 1 second
visible_hostname proxy.test
{before}
include {d}/out/icapd.conf
{logs}
"""


def make_lab(
    directory: Path,
    *,
    key: KeyKind,
    log_formats: tuple[str, ...],
    before: str,
    groups: dict[str, str],
    make_ca: Callable[[Path], BumpCa] | None = None,
) -> Lab:
    """Write all files and start the origins and the stand-in, but not Squid.

    `before` are lines of squid.conf above the fragment, with {d} for the directory; `groups` are ACLs by name.
    """
    now = datetime.now(UTC)
    if make_ca is None:
        ca = make_bump_ca(directory / "ca", name="Fragment test", now=now, days=2, key=key)
    else:
        ca = make_ca(directory / "ca")
    origin_ca = make_bump_ca(directory / "origin", name="Origin test", now=now, days=2, key="ec", stem="root")
    server = make_server_certificate(
        directory / "origin", names=[f"{name}.test" for name in NAMES], now=now, days=2, issuer=origin_ca
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    lab = Lab(directory, ca, StandIn(), Origin(context), Origin(None), free_port(), free_port())
    for served in (lab.icap, lab.http, lab.https):
        threading.Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
    trust = ca.certificate.read_text() + origin_ca.certificate.read_text()
    (directory / "trust.pem").write_text(trust)
    (directory / "hosts").write_text(
        f"{LOCALHOST} localhost\n" + "".join(f"{LOCALHOST} {name}.test\n" for name in NAMES)
    )
    make_certgen_db(directory / "ssl_db")
    shutil.copy(origin_ca.certificate, directory / "root.crt")
    (directory / "icapd.yaml").write_text(
        f"listen: [icap://127.0.0.1:{lab.icap.server_address[1]}]\n"
        f"policy: policy.yaml\n"
        f"squid:\n"
        f"  ports: [{{address: '127.0.0.1:{lab.bump_port}', bump: true}},"
        f" {{address: '127.0.0.1:{lab.plain_port}'}}]\n"
        f"  ssl_db: ssl_db\n"
        f"  origin_ca: root.crt\n"
        f"  allow_origins: ['127.0.0.1:{lab.https.port}', '127.0.0.1:{lab.http.port}']\n"
        f"  groups: {json.dumps([{'name': name, 'acl': acl.format(d=directory)} for name, acl in groups.items()])}\n"
    )
    write_fragments(load_config(directory / "icapd.yaml"), directory / "out")
    logs = "\n".join(f"access_log stdio:{directory}/{name}.log logformat={name}" for name in log_formats)
    (directory / "squid.conf").write_text(
        BASE.format(d=directory, logs=logs, before=before.format(d=directory))
    )
    return lab


def start_squid(lab: Lab) -> None:
    assert parse_check(lab.directory / "squid.conf", SQUID) == []
    lab.squid = subprocess.Popen(
        [SQUID, "--foreground", "-f", str(lab.directory / "squid.conf"), "-n", f"t{lab.bump_port}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection((LOCALHOST, lab.plain_port), 0.2):
            return
        assert lab.squid.poll() is None, lab.log
        assert time.monotonic() < deadline, lab.log
        time.sleep(0.05)


def stop_lab(lab: Lab) -> None:
    if lab.squid is not None:
        lab.squid.send_signal(signal.SIGTERM)
        try:
            lab.squid.wait(15)
        except subprocess.TimeoutExpired:
            lab.squid.kill()
            lab.squid.wait()
    for served in (lab.icap, lab.http, lab.https):
        served.shutdown()
        served.server_close()


@contextlib.contextmanager
def running_lab(
    *,
    key: KeyKind,
    log_formats: tuple[str, ...],
    before: str = "",
    groups: dict[str, str] | None = None,
    files: dict[str, str] | None = None,
    make_ca: Callable[[Path], BumpCa] | None = None,
) -> Iterator[Lab]:
    """Start all of it; pytest's own directories would be closed to Squid's user. `files` can be run."""
    directory = Path(tempfile.mkdtemp(prefix="icapd-squid-"))
    directory.chmod(0o755)
    if os.geteuid() == 0:
        shutil.chown(directory, "proxy", "proxy")  # Squid writes its logs there
    for name, text in (files or {}).items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    lab = make_lab(directory, key=key, log_formats=log_formats, before=before, groups=groups or {},
                   make_ca=make_ca)  # fmt: skip
    try:
        start_squid(lab)
        yield lab
    finally:
        stop_lab(lab)
        shutil.rmtree(directory, ignore_errors=True)
