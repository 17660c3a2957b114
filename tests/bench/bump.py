"""`python -m tests.bench.bump`: requests through CONNECT and TLS, by Squid alone, with icapd, with c-icap's echo.

One lab, one origin, three Squids of the same configuration but for ICAP, measured in turns in the same run.
`tunnels`: each request opens its own (CONNECT, handshake with a certificate made once, GET). `inside`: requests
follow each other in one tunnel. Load and origin are Python on the same cores, so only the ratios tell something.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import socket
import ssl
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.demo.child import Child, accepts, free_ports
from icapd.demo.lab import Lab, squid_program
from icapd.demo.plan import BUMP, Plan, ProxyPort
from icapd.errors import IcapdError
from tests.bench.servers import Setup, c_icap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

HOST = "open.bench.test"
POLICY = """\
access:
  - {name: never, when: {host: [never.bench.test]}, action: block}
tls:
  - {name: nor this, when: {host: [bank.bench.test]}, action: splice}
"""
VARIANTS = ("Squid alone", "Squid + icapd", "Squid + c-icap echo")
KINDS = ("tunnels", "inside")
_WORKERS = 4
_ICAP = ("icap_enable on", "icap_enable off")


@dataclass(frozen=True, slots=True)
class Figure:
    """What one variant did at one kind of load: requests a second, the median of the rounds; and errors."""

    variant: str
    kind: str
    rate: float
    errors: int


def measure(seconds: float, rounds: int) -> list[Figure]:
    """Run all variants in turns; raises IcapdError where a program is missing."""
    samples: dict[tuple[str, str], list[tuple[int, int]]] = {}
    with _running() as (ports, trust):
        for _ in range(rounds):
            for kind in KINDS:
                for variant in VARIANTS:
                    sample = _load(*ports[variant], trust, seconds, inside=kind == "inside")
                    samples.setdefault((variant, kind), []).append(sample)
    return [
        Figure(
            variant,
            kind,
            statistics.median(done / seconds for done, _ in found),
            sum(errors for _, errors in found),
        )
        for (variant, kind), found in samples.items()
    ]


@contextlib.contextmanager
def _running() -> Iterator[tuple[dict[str, tuple[int, int]], Path]]:
    """Run everything; yields, for each variant, Squid's port and the origin's, and the CA to trust."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="icapd-bump-")))
        directory.chmod(0o755)
        lab_directory, echo_directory = directory / "lab", directory / "echo"
        for each in (lab_directory, echo_directory):
            each.mkdir()
        plan = Plan(policy=POLICY, names=(HOST,), proxy_ports=(ProxyPort(BUMP, bump=True),))
        lab = stack.enter_context(Lab(lab_directory, plan, squid=squid_program()))
        echo = stack.enter_context(c_icap(echo_directory, Setup(None, None, None, 0)))
        icapd = f"icap://127.0.0.1:{lab.site.ports['icap']}"
        echoes = f"icap://127.0.0.1:{echo.port}/echo"
        changes = {
            VARIANTS[0]: (_ICAP,),
            VARIANTS[1]: (),
            VARIANTS[2]: ((f"{icapd}/reqmod", echoes), (f"{icapd}/respmod", echoes)),
        }
        ports = {}
        for name, port in zip(VARIANTS, free_ports(len(VARIANTS)), strict=True):
            child = _squid(lab, name, port, changes[name])
            stack.callback(child.stop)
            ports[name] = (port, lab.site.ports["https"])
        yield ports, lab.site.authority(BUMP)


def _squid(lab: Lab, name: str, port: int, changes: tuple[tuple[str, str], ...]) -> Child:
    """Start one more Squid on the lab's configuration, with another port and other words in the fragment."""
    site = lab.site
    fragment, whole = site.directory / f"icapd-{port}.conf", site.directory / f"squid-{port}.conf"
    text = (site.directory / "squid" / "icapd.conf").read_text()
    for old, new in ((f":{site.ports[BUMP]} ", f":{port} "), *changes):
        if old not in text:
            msg = f"{old!r} is not in the fragment"
            raise IcapdError(msg)
        text = text.replace(old, new)
    fragment.write_text(text)
    conf = site.squid_conf.read_text().replace("server_persistent_connections off\n", "")
    for file in ("squid.pid", "cache.log", "access.log"):
        conf = conf.replace(f"/{file}", f"/{port}-{file}")
    whole.write_text(conf.replace(str(site.directory / "squid" / "icapd.conf"), str(fragment)))
    command = [squid_program(), "--foreground", "-n", f"icapdbump{port}", "-f", str(whole)]
    child = Child.start(name, command, site.logs / f"{port}.log")
    child.wait_until(lambda: accepts(port), 30)
    return child


def _load(port: int, origin: int, trust: Path, seconds: float, *, inside: bool) -> tuple[int, int]:
    """Ask as fast as answers come, from _WORKERS processes; return how many were right, and how many not."""
    context = multiprocessing.get_context("fork")
    pipes, workers = [], []
    for _ in range(_WORKERS):
        here, there = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(there, port, origin, trust, seconds, inside))
        worker.start()
        there.close()
        pipes.append(here)
        workers.append(worker)
    counts = [pipe.recv() for pipe in pipes]
    for worker in workers:
        worker.join()
    return sum(done for done, _ in counts), sum(errors for _, errors in counts)


def _work(  # noqa: PLR0917  (a process's arguments)
    pipe: Connection, port: int, origin: int, trust: Path, seconds: float, inside: bool
) -> None:
    tls = ssl.create_default_context(cafile=str(trust))
    done = errors = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with _tunnel(tls, port, origin) as tunnel:
                while True:
                    _get(tunnel, origin)
                    done += 1
                    if not inside or time.monotonic() >= end:
                        break
        except (OSError, ValueError):
            errors += 1
    pipe.send((done, errors))


def _tunnel(tls: ssl.SSLContext, port: int, origin: int) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), 20)
    plain.sendall(f"CONNECT {HOST}:{origin} HTTP/1.1\r\nHost: {HOST}:{origin}\r\n\r\n".encode())
    if not plain.recv(65536).startswith(b"HTTP/1.1 200 "):
        plain.close()
        msg = "the tunnel did not open"
        raise ValueError(msg)
    return tls.wrap_socket(plain, server_hostname=HOST)


def _get(tunnel: ssl.SSLSocket, origin: int) -> None:
    tunnel.sendall(f"GET /bytes/2000 HTTP/1.1\r\nHost: {HOST}:{origin}\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(tunnel)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        msg = "not the page"
        raise ValueError(msg)
    while len(body) < 2000:
        body += _some(tunnel)


def _some(tunnel: ssl.SSLSocket) -> bytes:
    data = tunnel.recv(65536)
    if not data:
        msg = "ended early"
        raise ValueError(msg)
    return data


def table(figures: list[Figure]) -> str:
    """Return a Markdown table: requests a second, and the share of what Squid alone does."""
    alone = {figure.kind: figure.rate for figure in figures if figure.variant == VARIANTS[0]}
    lines = ["| load | variant | requests/s | of Squid alone | errors |", "|---|---|---|---|---|"]
    for figure in figures:
        share = figure.rate / alone[figure.kind] if alone[figure.kind] else 0.0
        lines.append(
            f"| {figure.kind} | {figure.variant} | {figure.rate:.0f} | {share:.2f} | {figure.errors} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run, print, return 0; 1 when requests failed, 2 when it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bump", description=__doc__)
    parser.add_argument("--short", action="store_true", help="under a minute")
    parser.add_argument("--seconds", type=float, help="of one run")
    parser.add_argument("--rounds", type=int, help="of all variants each")
    given = parser.parse_args()
    seconds, rounds = (2.0, 3) if given.short else (5.0, 5)
    try:
        figures = measure(given.seconds or seconds, given.rounds or rounds)
    except IcapdError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(table(figures))
    return 1 if any(figure.errors for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
