"""All that looks at messages, as one question: inspection, then every adapter that wants it, at once.

What an adapter does wrong costs its verdict, not the transaction: an exception, an answer that is none, or
none in time is a ScanError, and its `on_error` says what that means. All deadlines together end below the
60 s that Squid waits (icap_io_timeout).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.logger import Logger

from icapd.adapters.cache import Key, VerdictCache, Worth
from icapd.adapters.children import Children
from icapd.adapters.deadline import Late, within
from icapd.adapters.hashes import HashThreats
from icapd.adapters.message import Held, Task
from icapd.adapters.model import State
from icapd.adapters.registry import Loaded, make_adapters
from icapd.adapters.threads import Threads
from icapd.adapters.urls import UrlThreats, threat_name
from icapd.content.model import Report
from icapd.errors import AdapterError
from icapd.transaction import BodyFacts
from icapd.verdicts import CONTENT, Finding, Kind, ScanError, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from icapd.adapters.model import Body
    from icapd.config import Config
    from icapd.content.model import Shape
    from icapd.policy import Policy
    from icapd.transaction import Transaction

INSPECTION = 35.0  # s, beyond its own deadlines: twice content.seconds in the queue, then content.seconds
SCAN = 52.0  # s for a message in all
START = 30.0  # s for an adapter to make ready, or to let go
THREADS = 8  # of one adapter
_WITHOUT_MD5 = frozenset({"clamd", "yara", "pyicap"})  # kinds of adapters that never ask for it
MAX_FINDINGS = 500  # of one adapter in one message; the others are more of the same

# What inspection says when it could not look this time, and might the next: not to be remembered.
_PASSING = frozenset({"no process was free to inspect it", "its inspection ended unexpectedly", "time"})


@dataclass(frozen=True, slots=True)
class Scan:
    """What came of one body. `cached`: another's body with the same content was scanned, not this one."""

    findings: tuple[Finding, ...] = ()
    errors: tuple[ScanError, ...] = ()
    facts: BodyFacts = field(default_factory=BodyFacts)
    cached: bool = False


class Inspector(Protocol):
    """What icapd.adapters.children.Children does."""

    async def start(self) -> None:
        """Make ready."""

    async def stop(self) -> None:
        """Let go of everything."""

    async def inspect(self, shape: Shape, body: Body) -> Report:
        """Return what is inside."""
        ...

    @property
    def load(self) -> tuple[int, int, int]:
        """How many processes there are, how many are at work, how many bodies wait."""
        ...


def worth_of(scan: Scan) -> Worth:
    """Say whether a scan may be remembered: not if anybody could not look."""
    if scan.errors or any(one.by == CONTENT and one.threat in _PASSING for one in scan.findings):
        return Worth.NOTHING
    return Worth.FOUND if scan.findings else Worth.CLEAN


def size_of(scan: Scan) -> int:
    """Return how many bytes a scan takes in memory, about."""
    facts = scan.facts
    texts = sum(120 + len(one.threat) + len(one.where) for one in scan.findings)
    return 300 + texts + 90 * len(facts.md5 or ()) + 120 * len(facts.sha256 or ())


@dataclass(frozen=True, slots=True)
class _Said:
    """What one adapter said."""

    findings: tuple[Finding, ...] = ()
    errors: tuple[ScanError, ...] = ()


class Scanners:
    """The adapters of one configuration, inspection before them, and the lists that are threats."""

    _log = Logger(namespace="icapd")

    def __init__(
        self,
        adapters: tuple[Loaded, ...],
        policy: Policy,
        inspector: Inspector,
        cache: VerdictCache[Scan],
        *,
        settings: str = "",
        reactor: Any = _reactor,  # noqa: ANN401  (IReactorTime)
    ) -> None:
        self._adapters = adapters
        self._threads = {one.name: Threads(THREADS, f"icapd-{one.name}") for one in adapters}
        self._inspector = inspector
        self._cache = cache
        self._counts = cache.statistics.scans
        self._reactor = reactor
        self._urls = UrlThreats(policy.lists)
        self._hashes = HashThreats(policy.lists)
        self.active = bool(adapters) or self._hashes.is_active
        options = [(one.kind, one.name, one.on_error, one.options) for one in adapters]
        self._fixed = repr((settings, options))
        self._tags: tuple[str, ...] | None = None
        self._tag = ""
        self._policy_digest = policy.digest
        self._waiting = 0  # scans under way
        self._last: Deferred[None] | None = None

    @property
    def tag(self) -> str:
        """A digest of all that a verdict depends on but policy and content: adapters, databases, limits."""
        tags = tuple(one.adapter.tag for one in self._adapters)
        if tags != self._tags:
            self._tags = tags
            self._tag = hashlib.sha256(f"{self._fixed} {tags!r}".encode("utf-8", "replace")).hexdigest()[:16]
        return self._tag

    @property
    def load(self) -> tuple[int, int, int]:
        """Processes that inspect, those at work, bodies that wait for one."""
        return self._inspector.load

    def states(self) -> list[tuple[Loaded, State]]:
        """Return how each adapter is; of one that does not tell, its tag."""
        return [(one, _state_of(one)) for one in self._adapters]

    # --- Life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Make all ready. Raises AdapterError if one never will be; then none is left running."""
        started: list[Loaded] = []
        try:
            await self._inspector.start()
            for one in self._adapters:
                started.append(one)
                await self._start(one)
        except BaseException:
            await self._stop(started)
            raise

    async def _start(self, one: Loaded) -> None:
        try:
            await within(self._reactor, START, one.adapter.start)
        except CancelledError:
            raise
        except Exception as error:
            raise AdapterError(f"adapter {one.name} does not start: {_said(error)}") from error

    async def stop(self) -> None:
        """Let go of everything. Scans that are under way end with errors."""
        await self._stop(self._adapters)

    async def retire(self) -> None:
        """Stop when the last scan has ended; begin none after this."""
        if self._waiting:
            self._last = Deferred()
            await self._last
        await self.stop()

    async def _stop(self, adapters: Iterable[Loaded]) -> None:
        for one in adapters:
            try:
                await within(self._reactor, START, one.adapter.stop)
            except Exception as error:  # noqa: BLE001  (the others are to be stopped all the same)
                self._log.error(
                    "adapter {name} did not stop in order: {why}", name=one.name, why=_said(error)
                )
        for threads in self._threads.values():
            threads.stop()
        await self._inspector.stop()

    # --- Questions -------------------------------------------------------------------------

    def heads(self, tx: Transaction) -> tuple[Finding, ...]:
        """Return what the names and URLs of a message are, by lists with `threat:`."""
        return self._urls.find(tx) if self._urls.is_active else ()

    async def scan(self, tx: Transaction, shape: Shape, body: Body) -> Scan:
        """Look at a message. Never raises, but when it is cancelled; `body` is not read after that."""
        adapters = tuple(one for one in self._adapters if self._wants(one, tx))
        names = tuple(one.name for one in adapters)
        key = Key(body.key, (shape, names), f"{self.tag}-{self._policy_digest}")
        known = self._cache.find(key)
        if known is not None:
            return Scan(known.findings, known.errors, known.facts, cached=True)
        self._waiting += 1
        try:
            return await self._cache.ask(key, partial(self._scan, tx, shape, body, adapters))
        finally:
            self._waiting -= 1
            if self._last is not None and not self._waiting:
                self._last.callback(None)

    def _wants(self, one: Loaded, tx: Transaction) -> bool:
        try:
            return bool(one.adapter.wants(tx))
        except Exception as error:  # noqa: BLE001  (an adapter may raise anything)
            self._log.error("adapter {name} failed on heads: {why}", name=one.name, why=_said(error))
            return True

    async def _scan(self, tx: Transaction, shape: Shape, body: Body, adapters: tuple[Loaded, ...]) -> Scan:
        begun = self._reactor.seconds()
        errors: tuple[ScanError, ...] = ()
        try:
            report = await within(
                self._reactor, INSPECTION, partial(self._inspector.inspect, shape, body), Report.close
            )
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  (a fault of ours: nothing was looked into)
            self._log.failure("inspection failed")
            report, errors = Report(()), (ScanError(CONTENT, _said(error), "closed"),)
        held = Held(report, body)
        try:
            left = SCAN - (self._reactor.seconds() - begun)
            asked = [self._ask(one, Task(tx, shape, held, self._threads[one.name]), left) for one in adapters]
            said: list[_Said] = (
                [await asked[0]] if len(asked) == 1 else await gatherResults(asked, consumeErrors=True)
            )
            findings = (*report.findings, *self._hashes.find(report.items))
            return Scan(
                tuple(dict.fromkeys((*findings, *(each for one in said for each in one.findings)))),
                (*errors, *(each for one in said for each in one.errors)),
                facts_of(report, body),
            )
        finally:
            held.release()

    def _ask(self, one: Loaded, task: Task, left: float) -> Deferred[_Said]:
        """Ask one adapter; does not fail, but by being cancelled."""
        begun = self._reactor.seconds()
        answer = within(self._reactor, min(one.timeout, left), partial(one.adapter.scan, task))

        def failed(failure: Any) -> _Said:  # noqa: ANN401
            if not failure.check(Late, CancelledError):
                self._log.error("adapter {name} failed: {why}", name=one.name, why=_said(failure.value))
            return _Said((), (ScanError(one.name, _said(failure.value), one.on_error),))

        def count(said: _Said) -> _Said:
            seconds = self._reactor.seconds() - begun
            self._counts.told(one.name, found=bool(said.findings), failed=bool(said.errors), seconds=seconds)
            return said

        return answer.addCallback(partial(_heard, one)).addErrback(failed).addCallback(count)


def _state_of(one: Loaded) -> State:
    tell = getattr(one.adapter, "state", None)
    try:
        told = None if tell is None else tell()
    except Exception as error:  # noqa: BLE001  (an adapter may raise anything)
        return State(up=False, why=_said(error))
    return told if isinstance(told, State) else State(version=one.adapter.tag)


def _heard(one: Loaded, verdict: object) -> _Said:
    """Take an adapter's answer for what it should be, or for an error."""
    if not isinstance(verdict, Verdict):
        raise TypeError(f"its answer is no Verdict but {type(verdict).__name__}")
    findings = tuple(_sound(one, verdict.findings))
    if not verdict.error:
        return _Said(findings)
    return _Said(findings, (ScanError(one.name, threat_name(str(verdict.error)), one.on_error),))


def _sound(one: Loaded, findings: Iterable[object]) -> Iterator[Finding]:
    """Yield findings under the adapter's name, their texts fit for headers and logs."""
    for number, found in enumerate(findings):
        if not isinstance(found, Finding) or not isinstance(found.kind, Kind):
            raise TypeError(f"a finding is no Finding but {type(found).__name__}")
        if number < MAX_FINDINGS:
            where = "".join(each if each.isprintable() else "?" for each in str(found.where))[:1000]
            yield Finding(found.kind, threat_name(str(found.threat)) or found.kind.value, one.name, where)


def facts_of(report: Report, body: Body) -> BodyFacts:
    """Return what rules may ask of a body; what is not known of bytes that were not looked at is None."""
    whole = report.sha256 or body.sha256
    sha256 = tuple(dict.fromkeys((whole, *(item.sha256 for item in report.items))))
    if not report.items:
        return BodyFacts(size=body.size, sha256=sha256)
    first = [item.md5 for item in report.items if item.sha256 == whole]
    md5 = tuple(dict.fromkeys((*first, *(item.md5 for item in report.items))))
    return BodyFacts(
        size=body.size,
        file_types=tuple(dict.fromkeys(each for item in report.items for each in item.file_types)),
        md5=md5 if all(md5) else None,
        sha256=sha256,
    )


def asks_md5(adapters: Iterable[Loaded], policy: Policy) -> bool:
    """Tell whether a rule, a list or an adapter that is none of ours may ask for MD5."""
    listed = any(file.format == "MD5" for report in policy.lists.reports for file in report.files)
    return policy.asks_md5 or listed or any(one.kind not in _WITHOUT_MD5 for one in adapters)


def make_scanners(config: Config, policy: Policy, cache: VerdictCache[Scan]) -> Scanners:
    """Make what icapd.yaml names; nothing is started yet. Raises ConfigErrors."""
    adapters = make_adapters(config)
    return Scanners(
        adapters,
        policy,
        Children(config.content, counts=cache.statistics.scans, md5=asks_md5(adapters, policy)),
        cache,
        settings=repr(config.content),
    )


def _said(error: BaseException) -> str:
    """Return an exception in one printable line."""
    if isinstance(error, Late):
        return str(error)
    return threat_name(f"{type(error).__name__}: {' '.join(str(error).split())}")
