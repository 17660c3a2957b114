"""The servers that are compared, each started from a configuration of its own on a free loopback port."""

from __future__ import annotations

import os
import random
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icapd.demo.child import Child, accepts, free_ports
from icapd.errors import IcapdError
from tests.clam import CLAMD, make_clam
from tests.serving import on_core, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.domains import Domains
    from tests.clam import Clam

_MODULES = "*/c_icap"  # below /usr/lib: Debian's multiarch directory
_TEMPLATES = "/usr/share/c_icap/templates/"
_MAGIC = "/etc/c-icap/c-icap.magic"
START = 60.0  # s; a list of ten million takes its time

# One child with more threads than connections, endless keep-alive, no log: what serves a closed loop best.
_C_ICAP = """\
PidFile {directory}/c-icap.pid
CommandsSocket {directory}/c-icap.ctl
Port 127.0.0.1:{port}
StartServers {workers}
MaxServers {workers}
ThreadsPerChild 80
MinSpareThreads 10
MaxSpareThreads 60
MaxRequestsPerChild 0
MaxKeepAliveRequests -1
KeepAliveTimeout 600
Timeout 300
ServerAdmin bench
ServerName bench
TmpDir {directory}
DebugLevel 0
ModulesDir {modules}
ServicesDir {modules}
TemplateDir {templates}
TemplateDefaultLanguage en
LoadMagicFile {magic}
RemoteProxyUsers off
ServerLog {directory}/server.log
AccessLog /dev/null
"""
_ECHO = "Service echo srv_echo.so\nService ex206 srv_ex206.so\n"
_VIRUS_SCAN = """\
Service antivirus_module virus_scan.so
virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE
virus_scan.SendPercentData 5
virus_scan.StartSendPercentDataAfter 2M
virus_scan.MaxObjectSize 50M
virus_scan.Allow204Responces on
virus_scan.DefaultEngine clamd
Module common clamd_mod.so
clamd_mod.ClamdSocket {socket}
"""
_HASHES = 200_000  # signatures of whole files, and of what stands in them: a small share of a real database
_PATTERNS = 5_000
_URL_CHECK = """\
Service url_check_module srv_url_check.so
url_check.LookupTableDB listed domain hash:{listed} "listed"
url_check.Profile default block listed
url_check.Profile default pass ALL
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load: its processes, its port, and a log that is emptied after each run."""

    name: str
    pids: tuple[int, ...]
    port: int
    log: Path | None = None

    def empty_log(self) -> None:
        """Forget what was logged: a minute at full rate is a gigabyte."""
        if self.log is not None and self.log.exists():
            os.truncate(self.log, 0)


@dataclass(frozen=True, slots=True)
class Setup:
    """What the servers that are compared have in common: a list, a scanner, a core, a number of processes."""

    domains: Domains | None
    scanner: Clam | None
    core: int | None
    rules: int
    workers: int = 1

    @property
    def extra_pids(self) -> tuple[int, ...]:
        """Return whose work counts as the server's."""
        return () if self.scanner is None else (self.scanner.pid,)


@contextmanager
def clamd(directory: Path) -> Iterator[Clam]:
    """Run the clamd that both scan with. Raises IcapdError when it is not installed or does not start."""
    if CLAMD is None:
        msg = "clamd is not installed (Debian: clamav-daemon)"
        raise IcapdError(msg)
    clam = make_clam(directory / "clamd", MaxQueue="200", StreamMaxLength="50M", MaxFileSize="50M")
    signatures = random.Random(1)  # the same database each time
    with (clam.directory / "database" / "bench.hdb").open("w") as database:
        for number in range(_HASHES):
            database.write(
                f"{signatures.randbytes(16).hex()}:{signatures.randrange(1 << 22)}:Bench.{number}\n"
            )
    for number in range(_PATTERNS):
        clam.sign(f"Bench.Body.{number}", signatures.randbytes(24), offset="*")
    try:
        clam.start()
        yield clam
    finally:
        clam.stop()


@contextmanager
def c_icap(directory: Path, setup: Setup) -> Iterator[Server]:
    """Run c-icap with virus_scan, with srv_url_check on the list, or with its echo services.

    Raises IcapdError when c-icap or the module is not installed, or it does not start.
    """
    program = shutil.which("c-icap")
    if program is None:
        msg = "c-icap is not installed (Debian: c-icap and libc-icap-mod-urlcheck)"
        raise IcapdError(msg)
    domains = setup.domains
    wanted = "srv_echo.so" if domains is None else "srv_url_check.so"
    if setup.scanner is not None:
        wanted = "virus_scan.so"
    modules = [found for found in Path("/usr/lib").glob(_MODULES) if (found / wanted).exists()]
    if not modules:
        msg = f"c-icap has no {wanted} in /usr/lib/{_MODULES} (Debian: libc-icap-mod-urlcheck, libc-icap-mod-virus-scan)"
        raise IcapdError(msg)
    (port,) = free_ports(1)
    services = _ECHO if domains is None else _ECHO + _URL_CHECK.format(listed=domains.listed)
    if setup.scanner is not None:
        services = _VIRUS_SCAN.format(socket=setup.scanner.socket)
    configuration = directory / "c-icap.conf"
    configuration.write_text(
        _C_ICAP.format(
            directory=directory,
            port=port,
            modules=modules[0],
            templates=_TEMPLATES,
            magic=_MAGIC,
            workers=setup.workers,
        )
        + services
    )
    with on_core(setup.core):
        child = Child.start("c-icap", [program, "-f", str(configuration), "-N"], directory / "out.log")
    try:
        child.wait_until(lambda: accepts(port), START)
        yield Server("c-icap", (child.process.pid, *setup.extra_pids), port)
    finally:
        child.stop()


@contextmanager
def icapd(directory: Path, setup: Setup) -> Iterator[Server]:
    """Run icapd: rules that match nothing asked for, then one that blocks the list; with clamd where that scans."""
    policy = policy_document(setup.domains, setup.rules)
    options: dict[str, Any] = {"workers": setup.workers} if setup.workers > 1 else {}
    if setup.scanner is not None:
        options["adapters"] = [{"clamd": {"socket": str(setup.scanner.socket)}}]
    with serving(directory, policy=policy, options=options, core=setup.core, start_seconds=START) as served:
        yield Server("icapd", (served.pid, *setup.extra_pids), served.icap, directory / "decisions.log")


def policy_document(domains: Domains | None, rules: int) -> dict[str, Any]:
    """Return a policy of `rules` access rules of mixed kinds, and the list where there is one."""
    access = [_rule(number) for number in range(rules)]
    if domains is None:
        return {"access": access}
    access.append({"name": "listed", "when": {"list": ["listed"]}, "action": "block"})
    return {"lists": {"listed": {"domains": [str(domains.listed)]}}, "access": access}


def _rule(number: int) -> dict[str, Any]:
    host = f"rule{number}.bench.example"
    kinds: tuple[dict[str, list[str]], ...] = (
        {"host": [host]},
        {"url": [f"http://{host}/path/"]},
        {"host": [host], "method": ["POST"]},
        {"client": [f"192.0.2.{number % 256}"], "host": [host]},
    )
    return {"name": f"rule {number}", "when": kinds[number % len(kinds)], "action": "block"}
