"""A real `icapd serve` for the length of a test or a measurement, on ports it chose itself."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from icapd.demo.child import Child

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ALLOW_ALL: Mapping[str, Any] = {"access": []}  # no rule matches: allowed
_READY = re.compile(r"^icapd: ready on (.+)$", re.MULTILINE)
_URL = re.compile(r"(icaps?)://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, slots=True)
class Served:
    """A running icapd: the port of each scheme it listens on, 0 for none."""

    pid: int
    icap: int
    icaps: int
    child: Child


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Run what is started inside on one processor core (inherited by children); None leaves it alone."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def serving(
    directory: Path,
    *,
    policy: Mapping[str, Any] = ALLOW_ALL,
    options: Mapping[str, Any] | None = None,
    core: int | None = None,
    start_seconds: float = 30.0,
) -> Iterator[Served]:
    """Serve `policy` from `directory` until the block ends, then SIGTERM.

    `options` are added to icapd.yaml; a `listen` in them replaces the one icap:// port.
    Raises IcapdError, with the last line it printed, if it does not come up.
    """
    policy_file, config = directory / "policy.yaml", directory / "icapd.yaml"
    policy_file.write_text(json.dumps(policy))
    document = {
        "listen": ["icap://127.0.0.1:0"],
        "policy": policy_file.name,
        "decisions": "decisions.log",
        "events": {"store": "off"},  # a process more, which few tests are about
        "limits": {"drain": "2"},
        "workers": os.environ.get("ICAPD_TEST_WORKERS", "1"),
        **(options or {}),
    }
    config.write_text(json.dumps(document))
    with on_core(core):
        command = [sys.executable, "-m", "icapd", "serve", "-c", str(config)]
        child = Child.start("icapd", command, directory / "serve.log")
    try:
        child.wait_until(lambda: _READY.search(child.output()) is not None, start_seconds)
        ready = _READY.search(child.output())
        assert ready is not None
        ports = {scheme: int(port) for scheme, port in _URL.findall(ready[1])}
        yield Served(child.process.pid, ports.get("icap", 0), ports.get("icaps", 0), child)
    finally:
        child.stop()
