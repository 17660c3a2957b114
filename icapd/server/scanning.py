"""The scanners of one generation and the scans under way: started before they serve, stopped after the last.

`Scanners` is what the server uses of icapd.adapters.scanners.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.logger import Logger

from icapd.adaptation import Scanned
from icapd.transaction import BodyFacts
from icapd.verdicts import CONTENT, ScanError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from twisted.python.failure import Failure

    from icapd.adapters.model import Body
    from icapd.content.model import Shape
    from icapd.transaction import Transaction
    from icapd.verdicts import Finding

_T = TypeVar("_T")
_log = Logger(namespace="icapd")


class Scan(Protocol):
    """What came of scanning one body."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found, by all scanners."""
        ...

    @property
    def errors(self) -> tuple[ScanError, ...]:
        """Who could not look."""
        ...

    @property
    def facts(self) -> BodyFacts | None:
        """What rules may ask of the body."""
        ...

    @property
    def cached(self) -> bool:
        """Whether that was known of the same content."""
        ...


class Scanners(Protocol):
    """All that looks at bodies, as one."""

    active: bool

    @property
    def tag(self) -> str:
        """What verdicts depend on but policy and content."""
        ...

    async def start(self) -> None:
        """Make ready."""

    async def stop(self) -> None:
        """Let go of everything."""

    def heads(self, tx: Transaction) -> tuple[Finding, ...]:
        """Return what is found in the names and addresses of a message."""
        ...

    async def scan(self, tx: Transaction, shape: Shape, body: Body) -> Scan:
        """Look at a message. Never raises; has deadlines of its own."""
        ...


class _NoScanners:
    """There are none."""

    tag = ""
    active = False

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def heads(self, tx: Transaction) -> tuple[Finding, ...]:
        del tx
        return ()

    async def scan(self, tx: Transaction, shape: Shape, body: Body) -> Scan:
        del tx, shape
        return Scanned((), (), BodyFacts(size=body.size, sha256=(body.sha256,)))


NO_SCANNERS: Scanners = _NoScanners()


class Scans:
    """Scans by one set of scanners."""

    def __init__(self, scanners: Scanners, *, used: bool = True) -> None:
        """`used`: whether anything will ever be scanned; if not, nothing is started for it."""
        self.scanners = scanners
        self._used = used
        self._count = 0  # under way
        self._retired = False
        self._successor: Scans | None = None

    def start(self) -> Deferred[None]:
        """Make ready; fails with an IcapdError that is for the user."""
        return _deferred(self.scanners.start()) if self._used else succeed(None)

    def scan(self, tx: Transaction, shape: Shape, body: Body) -> Deferred[Scanned]:
        """Scan; never fails. Cancel it when nobody waits any more; `body` may be closed then.

        A message that began before a reload, and is whole only now, is scanned by what has taken over.
        """
        scans = self
        while scans._successor is not None and not scans._count:
            scans = scans._successor
        return scans.begin(tx, shape, body)

    def begin(self, tx: Transaction, shape: Shape, body: Body) -> Deferred[Scanned]:
        """Scan by these scanners."""
        self._count += 1
        scan: Deferred[Scan] = _deferred(self.scanners.scan(tx, shape, body))
        scanned = scan.addCallbacks(_scanned, _failed)
        return scanned.addBoth(self._ended)

    def retire(self, successor: Scans | None = None) -> Deferred[None]:
        """Stop the scanners when the last scan has ended; fires when that is so or begun."""
        self._retired, self._successor = True, successor
        return self._stop() if not self._count else Deferred()

    def _ended(self, scanned: Scanned) -> Scanned:
        self._count -= 1
        if self._retired and not self._count:
            self._stop()
        return scanned

    def _stop(self) -> Deferred[None]:
        if not self._used:
            return succeed(None)
        stopped = _deferred(self.scanners.stop())
        return stopped.addErrback(lambda failure: _log.failure("scanners did not stop in order", failure))


def _scanned(scan: Scan) -> Scanned:
    return Scanned(scan.findings, scan.errors, scan.facts, scan.cached)


def _failed(failure: Failure) -> Scanned:
    """What never should fail did, or was cancelled: as a scanner that could not look."""
    _log.debug("a scan ended: {failure}", failure=failure)
    return Scanned(errors=(ScanError(CONTENT, f"the scan failed: {type(failure.value).__name__}", "closed"),))


def _deferred(coroutine: Coroutine[Deferred[Any], Any, _T]) -> Deferred[_T]:
    return ensureDeferred(coroutine)
