"""More servers to compare with: e2guardian's ICAP mode, and pyicap's threading server.

e2guardian runs on the configuration its package installed, with the list in place of the package's own, fewer
threads (one serves one connection) and ports of this run. pyicap allows everything: it has no list to ask.
"""

from __future__ import annotations

import getpass
import grp
import os
import re
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.demo.child import Child, accepts, free_ports
from icapd.errors import IcapdError
from tests.bench.servers import START, Server
from tests.serving import on_core

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.bench.servers import Setup

_INSTALLED = Path("/etc/e2guardian")
_LISTED = "/etc/e2guardian/lists/bannedsitelist"
_PORT = re.compile(r"^\d+$", re.MULTILINE)


@contextmanager
def e2guardian(directory: Path, setup: Setup) -> Iterator[Server]:
    """Run e2guardian with the list. Raises IcapdError when it is not installed or does not start."""
    program = shutil.which("e2guardian", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None or not (_INSTALLED / "e2guardianf1.conf").exists():
        msg = "e2guardian is not installed (Debian: e2guardian)"
        raise IcapdError(msg)
    assert setup.domains is not None
    icap, proxy = free_ports(2)
    group = (_INSTALLED / "e2guardianf1.conf").read_text().replace(_LISTED, str(setup.domains.listed))
    # it finds its groups beside the main file
    (directory / "e2guardianf1.conf").write_text(group)
    configuration = directory / "e2guardian.conf"
    configuration.write_text(
        _changed((_INSTALLED / "e2guardian.conf").read_text(), _options(directory, icap, proxy))
    )
    with on_core(setup.core):
        child = Child.start("e2guardian", [program, "-N", "-c", str(configuration)], directory / "out.log")
    try:
        child.wait_until(lambda: accepts(icap), START)
        yield Server("e2guardian", (child.process.pid,), icap)
    finally:
        child.stop()


def _options(directory: Path, icap: int, proxy: int) -> Mapping[str, str]:
    return {
        "filterip": "'127.0.0.1'",
        "filterports": f"{proxy}",
        "transparenthttpsport": "",
        "icapport": f"{icap}",
        "httpworkers": "60",
        "loglevel": "0",
        "nodaemon": "on",
        "dockermode": "off",
        "daemonuser": f"'{getpass.getuser()}'",
        "daemongroup": f"'{grp.getgrgid(os.getgid()).gr_name}'",
        "pidfilename": f"'{directory}/e2guardian.pid'",
        "loglocation": f"'{directory}/access.log'",
    }


def _changed(text: str, options: Mapping[str, str]) -> str:
    """Replace options of e2guardian.conf, wherever they stand; an empty value takes one out."""
    kept = [line for line in text.splitlines() if line.partition("=")[0].strip(" #") not in options]
    return "\n".join([*kept, *(f"{name} = {value}" for name, value in options.items() if value)]) + "\n"


@contextmanager
def pyicap(directory: Path, setup: Setup) -> Iterator[Server]:
    """Run pyicap's server. Raises IcapdError when it is not installed."""
    log = directory / "out.log"
    command = [sys.executable, "-u", "-m", "tests.peers.pyicap_server"]
    with on_core(setup.core):
        child = Child.start("pyicap", command, log)
    try:
        child.wait_until(lambda: _PORT.search(child.output()) is not None, START)
        port = _PORT.search(child.output())
        assert port is not None
        yield Server("pyicap", (child.process.pid,), int(port[0]))
    finally:
        child.stop()
