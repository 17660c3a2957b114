"""A stand-in for scanners: says what the test tells it to, at once or when the test says so."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred

from icapd.adaptation import Scanned, Scanning
from icapd.server.scanning import Scans
from icapd.transaction import BodyFacts
from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    from icapd.adapters.model import Body
    from icapd.content.model import Shape
    from icapd.server.site import Site
    from icapd.transaction import Transaction

MARK = b"MALWARE"
MALWARE = Finding(Kind.MALWARE, "Test.Malware", "stand-in")


class StandIn:
    """Finds MARK anywhere in a body. With `waits`, answers come by `go_on`."""

    active = True

    def __init__(self, *, waits: bool = False) -> None:
        self.tag = "1"
        self.waits = waits
        self.head: tuple[Finding, ...] = ()
        self.bodies: list[bytes] = []
        self.pending: list[Deferred[None]] = []
        self.cancelled = self.started = self.stopped = 0

    async def start(self) -> None:
        self.started += 1

    async def stop(self) -> None:
        self.stopped += 1

    def heads(self, tx: Transaction) -> tuple[Finding, ...]:
        del tx
        return self.head

    async def scan(self, tx: Transaction, shape: Shape, body: Body) -> Scanned:
        del tx, shape
        content = body.read(0, body.size)
        assert len(content) == body.size
        self.bodies.append(content)
        if self.waits:
            self.pending.append(Deferred())
            try:
                await self.pending[-1]
            except CancelledError:
                self.cancelled += 1
                raise
        found = (MALWARE,) if MARK in content else ()
        return Scanned(found, (), BodyFacts(size=body.size, sha256=(body.sha256,)))

    def go_on(self) -> None:
        """Let all scans end that wait."""
        pending, self.pending = self.pending, []
        for each in pending:
            each.callback(None)


def scanned_by(site: Site, scanner: StandIn, *, max_size: int = 0, **changes: object) -> StandIn:
    """Have `site` scan by `scanner`; `changes` are of its generation."""
    generation = dataclasses.replace(
        site.generation,
        scans=Scans(scanner),
        scanning=Scanning(scanner, max_size),
        **changes,  # type: ignore[arg-type]
    )
    site.replace(generation)
    return scanner


__all__ = ["MALWARE", "MARK", "StandIn", "scanned_by"]
