"""What is measured: how the generator asks, and which service of each server answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.domains import Domains

_ECHO = {"c-icap": "echo", "icapd": "respmod"}
_URL = {"c-icap": "url_check", "icapd": "reqmod"}
_SCAN = {"c-icap": "virus_scan", "icapd": "respmod"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """`hosts`: which file of the domains to ask for, "" for one fixed host.

    `setup`: "plain" servers, those with the "list", or those that "scan" with one clamd. `blocked`: the share of
    requests that must be answered 200 instead of 204, None where that says nothing. `least`: seconds a run
    takes at any rate, so that big bodies come to an end within it. `fresh`: no run sends what another sent.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    services: dict[str, str]
    hosts: str = ""
    setup: str = "plain"
    blocked: float | None = None
    least: float = 0.0
    fresh: bool = False

    def load_arguments(self, domains: Domains, seed: int) -> tuple[str, ...]:
        """Return the generator's arguments; `seed` is this run's own."""
        if self.fresh:
            return (*self.arguments, "-S", str(seed))
        if not self.hosts:
            return self.arguments
        return (*self.arguments, "-H", str(domains.quarter if self.hosts == "quarter" else domains.missing))


def _echo(size: str, octets: int, connections: int = 16, least: float = 0.0) -> Scenario:
    arguments = ("-m", "respmod", "-b", str(octets), "-c", str(connections), "-e", "200")
    return Scenario(f"echo-{size}", f"RESPMOD echo {size}", arguments, _ECHO, least=least)


def _scan(name: str, title: str, octets: int, bodies: int, *, fresh: bool) -> Scenario:
    arguments = ("-m", "respmod", "-b", str(octets), "-v", "1024", "-a", "204", "-c", "8", "-n", str(bodies))
    kind = ("-B", "random", "-t", "application/octet-stream")
    return Scenario(name, title, (*arguments, *kind), _SCAN, setup="scan", least=1.0, fresh=fresh)


SCENARIOS = (
    Scenario(
        "reqmod",
        "REQMOD, none blocked",
        ("-m", "reqmod", "-a", "204", "-c", "16", "-e", "204"),
        _URL,
        hosts="missing",
        setup="list",
        blocked=0.0,
    ),
    Scenario(
        "reqmod-25",
        "REQMOD, 25 % blocked",
        ("-m", "reqmod", "-a", "204", "-c", "16"),
        _URL,
        hosts="quarter",
        setup="list",
        blocked=0.25,
    ),
    Scenario(
        "preview",
        "RESPMOD 64 KiB, 204 at preview 1024",
        ("-m", "respmod", "-b", "65536", "-v", "1024", "-a", "204", "-c", "16", "-e", "204"),
        # c-icap's echo alternates 204 and 100; ex206 answers 204 from the head alone where 206 is not allowed
        {"c-icap": "ex206", "icapd": "respmod"},
    ),
    _echo("64KiB", 65536),
    _echo("1MiB", 1 << 20, least=0.5),
    _echo("10MiB", 10 << 20, 8, least=1.5),
    Scenario(
        "options",
        "OPTIONS",
        ("-m", "options", "-c", "16", "-e", "200"),
        {"c-icap": "echo", "icapd": "respmod"},
    ),
    _scan("scan-64KiB", "scan, distinct 64 KiB", 65536, 2000, fresh=True),
    _scan("scan-1MiB", "scan, distinct 1 MiB", 1 << 20, 150, fresh=True),
    _scan("scan-repeated", "scan, repeated 1 MiB", 1 << 20, 4, fresh=False),
)
