"""What is measured under load: how the generator asks, and which service of each server answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.domains import Domains

_ECHO = {"icapd": "respmod", "c-icap": "echo"}
_URL = {"icapd": "reqmod", "c-icap": "url_check"}
_TINY = 4096
_SCAN = {"icapd": "respmod", "c-icap": "virus_scan"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """`hosts`: which file of the domains to ask for, "" for one fixed host.

    `services`: by server, icapd first; `setup`: "main" servers on one core, with the list; those that "scan" with
    one clamd; or two "workers" on two cores. `blocked`: the share of requests that must be answered 200 instead of
    204, None where that says nothing. `least`: seconds a run takes at any rate, so that big bodies come to an end
    within it. `fresh`: no run sends what another sent. `paced`: the share of what the slowest server can do at
    which all of them are asked; 0 asks as fast as answers come.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    services: dict[str, str]
    hosts: str = ""
    setup: str = "main"
    blocked: float | None = None
    least: float = 0.0
    fresh: bool = False
    paced: float = 0.0

    def load_arguments(self, domains: Domains, seed: int) -> tuple[str, ...]:
        """Return the generator's arguments; `seed` is this run's own."""
        if self.fresh:
            return (*self.arguments, "-S", str(seed))
        if not self.hosts:
            return self.arguments
        return (*self.arguments, "-H", str(domains.quarter if self.hosts == "quarter" else domains.missing))

    def tiny(self) -> Scenario:
        """Return the same with bodies of 4 KiB at most: it proves that it works, and measures nothing."""
        arguments = list(self.arguments)
        if "-b" in arguments:
            size = arguments.index("-b") + 1
            arguments[size] = str(min(int(arguments[size]), _TINY))
        return replace(self, arguments=tuple(arguments), least=0.0)


def _echo(size: str, octets: int, connections: int = 16, least: float = 0.0) -> Scenario:
    arguments = ("-m", "respmod", "-b", str(octets), "-c", str(connections), "-e", "200")
    return Scenario(f"echo-{size}", f"RESPMOD echo {size}", arguments, _ECHO, least=least)


def _scan(name: str, title: str, octets: int, bodies: int, *, fresh: bool) -> Scenario:
    arguments = ("-m", "respmod", "-b", str(octets), "-v", "1024", "-a", "204", "-c", "8", "-n", str(bodies))
    kind = ("-B", "random", "-t", "application/octet-stream")
    return Scenario(name, title, (*arguments, *kind), _SCAN, setup="scan", least=1.0, fresh=fresh)


_REQMOD = ("-m", "reqmod", "-a", "204", "-c", "16")

SCENARIOS = (
    Scenario(
        "reqmod",
        "REQMOD, none blocked",
        _REQMOD,
        # e2guardian answers 204 only to what its lists except; what else it lets pass comes back in a 200
        {**_URL, "e2guardian": "request", "pyicap": "reqmod"},
        hosts="missing",
        blocked=0.0,
    ),
    Scenario(
        "reqmod-25",
        "REQMOD, 25 % blocked",
        _REQMOD,
        # e2guardian stops answering on a connection that it has sent a block page and then lets pass
        _URL,
        hosts="quarter",
        blocked=0.25,
    ),
    Scenario(
        "paced",
        "REQMOD, none blocked, equal load",
        _REQMOD,
        _URL,
        hosts="missing",
        blocked=0.0,
        paced=0.6,
    ),
    Scenario(
        "paced-25",
        "REQMOD, 25 % blocked, equal load",
        _REQMOD,
        _URL,
        hosts="quarter",
        blocked=0.25,
        paced=0.6,
    ),
    Scenario(
        "preview",
        "RESPMOD 64 KiB, 204 at preview 1024",
        ("-m", "respmod", "-b", "65536", "-v", "1024", "-a", "204", "-c", "16", "-e", "204"),
        # c-icap's echo alternates 204 and 100; ex206 answers 204 from the head alone where 206 is not allowed
        {"icapd": "respmod", "c-icap": "ex206"},
    ),
    _echo("1KiB", 1024),
    _echo("64KiB", 65536),
    _echo("1MiB", 1 << 20, least=0.5),
    _echo("10MiB", 10 << 20, 8, least=1.5),
    Scenario(
        "options",
        "OPTIONS",
        ("-m", "options", "-c", "16", "-e", "200"),
        {"icapd": "respmod", "c-icap": "echo"},
    ),
    _scan("scan-64KiB", "scan, distinct 64 KiB", 65536, 2000, fresh=True),
    _scan("scan-1MiB", "scan, distinct 1 MiB", 1 << 20, 150, fresh=True),
    _scan("scan-repeated", "scan, repeated 1 MiB", 1 << 20, 4, fresh=False),
    Scenario(
        "workers",
        "REQMOD, 25 % blocked, two processes on two cores",
        ("-m", "reqmod", "-a", "204", "-c", "64"),
        _URL,
        hosts="quarter",
        setup="workers",
        blocked=0.25,
    ),
)
