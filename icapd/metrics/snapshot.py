"""All that is told of a running icapd at one moment, however many processes it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from icapd.metrics.words import new_words

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FILES = 200  # of lists, told one by one; of the rest only the oldest of each list


@dataclass(frozen=True, slots=True)
class ScannerFacts:
    """One adapter of icapd.yaml. `database` is when its signatures were made, in seconds of the epoch."""

    name: str
    kind: str
    on_error: str
    up: bool = True
    why: str = ""
    version: str = ""
    database: float | None = None


@dataclass(frozen=True, slots=True)
class ListFile:
    """A file of a list as it was read; `modified` in seconds of the epoch."""

    list: str
    file: str
    modified: float


@dataclass(frozen=True, slots=True)
class Serving:
    """What a process serves with: told by each worker to the supervisor when it has changed."""

    scanners: tuple[ScannerFacts, ...] = ()
    lists: tuple[ListFile, ...] = ()

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Serving:
        """Take what `dataclasses.asdict` made of one."""
        scanners = tuple(ScannerFacts(**one) for one in told["scanners"])
        return cls(scanners, tuple(ListFile(**one) for one in told["lists"]))


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One worker's place; a single process is worker 0."""

    number: int
    ready: bool
    connections: int
    requests: int
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class ReloadFacts:
    """The reloads so far: `at` is when the last one ended (seconds of the epoch), `seconds` what it took."""

    adopted: int = 0
    refused: int = 0
    at: float | None = None
    seconds: float = 0.0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """A process, or several of a kind, whose `cpu` (seconds) is then None; `memory` is resident bytes."""

    name: str
    memory: int
    fds: int
    cpu: float | None = None


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """One output of the collector: bytes of the log `behind`, for `lag` seconds; why it `failed`, if so."""

    name: str
    records: int = 0
    behind: int = 0
    lag: float = 0.0
    failed: str = ""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> OutputFacts:
        """Take what the collector reports."""
        return cls(told["output"], told["records"], told["behind"], told["lag"], told["failed"])


@dataclass(frozen=True, slots=True)
class CollectorFacts:
    """The process that follows the decision log."""

    up: bool
    restarts: int = 0
    outputs: tuple[OutputFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything. `started` and `now` are seconds of the epoch; `certificates` maps a name to its end."""

    started: float
    now: float
    digest: str
    workers: tuple[WorkerFacts, ...]
    accepting: bool = True
    draining: bool = False
    lost_lines: int = 0
    strangers: int = 0
    words: list[int] = field(default_factory=new_words)
    serving: Serving = Serving()
    reloads: ReloadFacts = ReloadFacts()
    certificates: Mapping[str, float] = field(default_factory=dict)
    processes: tuple[ProcessFacts, ...] = ()
    collector: CollectorFacts | None = None


def merged(several: list[Serving]) -> Serving:
    """Return what all workers together serve with: a scanner is up if each of them can ask it."""
    if not several:
        return Serving()
    scanners: dict[str, ScannerFacts] = {}
    for one in (scanner for serving in several for scanner in serving.scanners):
        if one.name not in scanners or not one.up:
            scanners[one.name] = one
    return Serving(tuple(scanners.values()), several[0].lists)
