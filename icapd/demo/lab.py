"""The lab itself: a throwaway directory, the origins, icapd and Squid, started and ended together."""

from __future__ import annotations

import os
import shutil
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

from icapd.demo.child import Child, accepts, free_ports
from icapd.demo.contacts import Contacts
from icapd.demo.decisions import Decisions
from icapd.demo.origin import Origin
from icapd.demo.site import Site, write_site
from icapd.errors import IcapdError
from icapd.squid import parse_check

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from icapd.demo.origin import File
    from icapd.demo.plan import Plan

_READY = "icapd: ready"
_SBIN = ("/usr/sbin", "/usr/local/sbin", "/usr/local/squid/sbin")  # in no user's PATH


def squid_program() -> str:
    """Find Squid, and see that there is a curl to ask it. Raises IcapdError if one is missing."""
    if shutil.which("curl") is None:
        msg = "curl is not installed: the demo's requests are sent by it"
        raise IcapdError(msg)
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN))
    squid = shutil.which("squid", path=path)
    if squid is None:
        msg = "Squid is not installed (no squid in PATH or /usr/sbin; Debian's package is squid-openssl)"
        raise IcapdError(msg)
    return squid


class Lab:
    """Squid, icapd and two origins on loopback; a context which ends whatever it started.

    Entering raises IcapdError, one line that says which program failed and where its log is.
    """

    def __init__(
        self,
        directory: Path,
        plan: Plan,
        *,
        squid: str,
        origin: Callable[..., Origin] = Origin,
        https: int = 0,
    ) -> None:
        """Bind the origins, made by `origin`; theirs are any free ports unless `https` is one."""
        self.contacts = Contacts()
        self._squid = squid
        self._http = origin(self.contacts, (plan.address, 80 if https else 0))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._https = origin(self.contacts, (plan.address, https), self._context)
        names = ("icap", *(port.name for port in plan.proxy_ports))
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        ports |= {port.name: port.number for port in plan.proxy_ports if port.number}
        ports |= {"http": self._http.port, "https": self._https.port}
        self.site = Site(directory, plan, ports, Path(squid))
        self.decisions = Decisions(self.site.decisions)
        self._children: list[Child] = []
        self.icapd: Child

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        write_site(self.site, self._context)
        self._http.start()
        self._https.start()
        self.start_icapd()
        complaints = parse_check(self.site.squid_conf, self._squid)
        if complaints:
            msg = f"Squid refuses {self.site.squid_conf}: {complaints[0]}"
            raise IcapdError(msg)
        self._start_squid()

    def start_icapd(self) -> Child:
        """Start icapd and wait until it says it is ready. Its standard error is in logs/icapd.log."""
        log = self.site.logs / "icapd.log"
        already = log.read_text().count(_READY) if log.exists() else 0
        self.icapd = self._child(
            "icapd", [sys.executable, "-m", "icapd", "serve", "-c", str(self.site.config)]
        )
        self.icapd.wait_until(lambda: self.icapd.output().count(_READY) > already)
        return self.icapd

    def _start_squid(self) -> None:
        name = f"icapddemo{self.site.ports['icap']}"  # a service of its own: no system Squid is touched
        squid = self._child(
            "squid", [self._squid, "--foreground", "-n", name, "-f", str(self.site.squid_conf)]
        )
        ports = [self.site.ports[port.name] for port in self.site.plan.proxy_ports if port.mode == "forward"]
        try:
            squid.wait_until(lambda: all(map(accepts, ports)), 30)
        except IcapdError as error:
            raise IcapdError(self._squids_word() or str(error)) from error

    def _squids_word(self) -> str | None:
        """Return why Squid gave up, which it tells its cache.log alone."""
        log = self.site.logs / "cache.log"
        lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
        fatal = next((line for line in lines if "FATAL: " in line), None)
        return None if fatal is None else f"squid: {fatal.partition('FATAL: ')[2]} (log: {log})"

    def _child(self, name: str, command: list[str]) -> Child:
        child = Child.start(name, command, self.site.logs / f"{name}.log")
        self._children.append(child)
        return child

    def offer(self, path: str, file: File) -> None:
        """Have both origins send `file` where `path` is asked for."""
        self._http.files[path] = self._https.files[path] = file

    def require_running(self) -> None:
        """Raise IcapdError if a program of the lab has ended by itself."""
        for child in self._children:
            child.require_running()

    def stop(self) -> None:
        """End everything, the proxy first, by the ids it was started under."""
        while self._children:
            self._children.pop().stop()
        self._http.stop()
        self._https.stop()
