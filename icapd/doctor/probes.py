"""All probes, in the order of their lines, and how they are run: one by one, none for long."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from icapd.doctor.bench import Bench
from icapd.doctor.bodies import Eicar, Large
from icapd.doctor.model import Outcome, Result, fault, ok, warning
from icapd.doctor.pages import Asked, Headers, Page, Redirect, TunnelPage, TunnelRedirect
from icapd.doctor.receivers import Receivers
from icapd.doctor.safety import Admin, Forged, Loopback, WebSocket
from icapd.doctor.setup import Answers, Authority, Clock, Configuration, Database, Fragment, Version
from icapd.errors import IcapdError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from icapd.doctor.bench import Where
    from icapd.doctor.model import Probe

_SECONDS = 10.0  # for one probe, whatever it waits for


class Reached:
    """Whether anything listens where clients find Squid."""

    name = "Squid"
    did = "connected to Squid's port"
    needs: Literal["", "squid", "icapd"] = ""

    def look(self, bench: Bench) -> Outcome:
        """Connect."""
        if bench.proxy is None:
            return warning("all its ports intercept: there is none to look through", "add a port for clients")
        host, port = bench.proxy
        try:
            socket.create_connection(bench.proxy, _SECONDS / 2).close()
        except OSError as error:
            why = error.strerror or str(error)
            return fault(f"{host}:{port}: {why}", "start Squid (squid -k parse says why it does not start)")
        return ok(f"listens on {host}:{port}")


FIRST: tuple[Probe, ...] = (Answers(), Reached())
REST: tuple[Probe, ...] = (
    Configuration(), Fragment(), Version(), Authority(), Database(), Asked(), Headers(), Clock(),
    Page(), Redirect(), TunnelPage(), TunnelRedirect(), Large(), Eicar(),
    Forged(), Loopback(), Admin(), WebSocket(), Receivers(),
)  # fmt: skip


def examine(where: Where) -> Iterator[Result]:
    """Run all probes; yield each one's line as soon as it is known."""
    with Bench(where) as bench:
        missing: dict[str, str] = {}
        for probe in FIRST:
            outcome = _looked(probe, bench)
            if outcome.level != "ok":
                missing[probe.name] = f"{probe.name} does not answer"
            yield _result(probe, outcome)
        if "Squid" not in missing and bench.no_token:
            missing["token"] = bench.no_token
        for probe in REST:
            reason = _missing(probe, missing)
            if reason == bench.no_token and reason:
                outcome = warning(f"not looked at: {reason}", _CONTROL)
            elif reason:
                outcome = warning(f"not looked at: {reason}", "mend that first")
            else:
                outcome = _looked(probe, bench)
            yield _result(probe, outcome)


_CONTROL = "control: PATH in icapd.yaml, restart icapd, and run icapd doctor as its user or root"


def _missing(probe: Probe, missing: dict[str, str]) -> str:
    wanted = {"": (), "squid": ("Squid",), "icapd": ("Squid", "icapd", "token")}[probe.needs]
    return next((missing[name] for name in wanted if name in missing), "")


def _looked(probe: Probe, bench: Bench) -> Outcome:
    """Let it look, in a thread that is left alone if it takes too long."""
    found: list[Outcome] = []

    def look() -> None:
        try:
            found.append(probe.look(bench))
        except IcapdError as error:
            found.append(fault(str(error).splitlines()[0], "see the message"))
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            found.append(fault(f"{place}{error.strerror or error}", "see the message"))

    thread = threading.Thread(target=look, daemon=True, name=probe.name)
    thread.start()
    thread.join(_SECONDS)
    if not found:
        return fault(f"no end after {_SECONDS:.0f} s", "see Squid's cache.log, and what icapd says")
    return found[0]


def _result(probe: Probe, outcome: Outcome) -> Result:
    return Result(probe.name, probe.did, outcome.level, outcome.text, outcome.mend)
