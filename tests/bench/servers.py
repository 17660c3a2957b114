"""The servers that are compared, each started from a configuration of its own on a free loopback port."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icapd.demo.child import Child, accepts, free_ports
from icapd.errors import IcapdError
from tests.serving import on_core, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.domains import Domains

_MODULES = "*/c_icap"  # below /usr/lib: Debian's multiarch directory
_TEMPLATES = "/usr/share/c_icap/templates/"
_MAGIC = "/etc/c-icap/c-icap.magic"
_START = 60.0  # s; a list of ten million takes its time

# One child with more threads than connections, endless keep-alive, no log: what serves a closed loop best.
_C_ICAP = """\
PidFile {directory}/c-icap.pid
CommandsSocket {directory}/c-icap.ctl
Port 127.0.0.1:{port}
StartServers 1
MaxServers 1
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
_URL_CHECK = """\
Service url_check_module srv_url_check.so
url_check.LookupTableDB listed domain hash:{listed} "listed"
url_check.Profile default block listed
url_check.Profile default pass ALL
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load: its first process, its port, and a log that is emptied after each run."""

    name: str
    pid: int
    port: int
    log: Path | None = None

    def empty_log(self) -> None:
        """Forget what was logged: a minute at full rate is a gigabyte."""
        if self.log is not None and self.log.exists():
            os.truncate(self.log, 0)


@contextmanager
def c_icap(directory: Path, *, core: int | None, domains: Domains | None = None) -> Iterator[Server]:
    """Run c-icap with srv_url_check on the list, or without one with its echo services.

    Raises IcapdError when c-icap or the module is not installed, or it does not start.
    """
    program = shutil.which("c-icap")
    if program is None:
        msg = "c-icap is not installed (Debian: c-icap and libc-icap-mod-urlcheck)"
        raise IcapdError(msg)
    wanted = "srv_echo.so" if domains is None else "srv_url_check.so"
    modules = [found for found in Path("/usr/lib").glob(_MODULES) if (found / wanted).exists()]
    if not modules:
        msg = f"c-icap has no {wanted} in /usr/lib/{_MODULES} (Debian: libc-icap-mod-urlcheck)"
        raise IcapdError(msg)
    (port,) = free_ports(1)
    services = _ECHO if domains is None else _URL_CHECK.format(listed=domains.listed)
    configuration = directory / "c-icap.conf"
    configuration.write_text(
        _C_ICAP.format(directory=directory, port=port, modules=modules[0], templates=_TEMPLATES, magic=_MAGIC)
        + services
    )
    with on_core(core):
        child = Child.start("c-icap", [program, "-f", str(configuration), "-N"], directory / "out.log")
    try:
        child.wait_until(lambda: accepts(port), _START)
        yield Server("c-icap", child.process.pid, port)
    finally:
        child.stop()


@contextmanager
def icapd(
    directory: Path, *, core: int | None, domains: Domains | None = None, rules: int = 0
) -> Iterator[Server]:
    """Run icapd with `rules` rules that do not match what is asked for, then one that blocks the list."""
    policy = policy_document(domains, rules)
    with serving(directory, policy=policy, core=core, start_seconds=_START) as served:
        yield Server("icapd", served.pid, served.icap, directory / "decisions.log")


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
