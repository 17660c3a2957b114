"""`icapd scan`: files as downloads, by the scanners and the policy that serve."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import click

from icapd.adaptation import too_large
from icapd.cli.awaiting import await_on_reactor
from icapd.cli.options import config_option
from icapd.config import load_config
from icapd.content.shape import shape_of
from icapd.policy import Allow, Policy, load_policy
from icapd.policy.question import Answered, Question, read_question
from icapd.transaction import BodyFacts, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from icapd.adapters.scanners import Scanners
    from icapd.config import Config
    from icapd.policy import Decision
    from icapd.transaction import Transaction
    from icapd.verdicts import Finding, ScanError

_AT_ONCE = 8  # messages under scan; adapters bound themselves
_SITE = "http://files.invalid/"  # where a file comes from for which nobody says it (RFC 6761 §6.4)
_BAR_FROM = 20  # files; fewer are done before a bar would help


@dataclass(frozen=True, slots=True)
class Job:
    """One file, and the download that it is taken for. `staged`: bypass and access have their say too."""

    path: Path
    question: Question
    staged: bool
    identity: Any = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one job; `error` instead of a decision where the file could not be read."""

    job: Job
    decision: Decision | None
    errors: tuple[ScanError, ...] = ()
    error: str = ""

    @property
    def verdict(self) -> str:
        """Return the worst kind that was found, `error` where somebody could not look, `clean` else."""
        if self.decision is None or (self.errors and not self.decision.findings):
            return "error"
        return str(self.decision.findings[0].kind) if self.decision.findings else "clean"

    @property
    def action(self) -> str:
        """Return `allow`, `block` or what else a rule says."""
        return "error" if self.decision is None else type(self.decision.action).__name__.lower()

    def document(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        head = {} if self.job.identity is None else {"id": self.job.identity}
        out = {
            **head,
            "path": str(self.job.path),
            "verdict": self.verdict,
            "threats": [],
            "action": self.action,
        }
        if self.decision is None:
            return {**out, "error": self.error}
        found, rule = self.decision.findings, self.decision.rule
        return {
            **out,
            "threats": [each.threat for each in found],
            "findings": [
                {"kind": each.kind, "threat": each.threat, "by": each.by, "where": each.where}
                for each in found
            ],
            "errors": [{"by": each.by, "text": each.text, "on_error": each.on_error} for each in self.errors],
            "stage": self.decision.stage,
            "rule": rule.name if rule else None,
        }

    def lines(self) -> Iterator[str]:
        """Yield what a person reads: the file, then each finding below it."""
        yield f"{self.action.upper():8} {_printable(str(self.job.path))}"
        if self.decision is None:
            yield f"         {_printable(self.error)}"
            return
        for each in self.decision.findings:
            where = f" in {each.where}" if each.where else ""
            yield f"         {each.kind}: {each.threat}{where} ({each.by})"
        for error in self.errors:
            yield f"         could not be scanned by {error.by}: {error.text}"


class FileBody:
    """A file as a body that has come whole. Raises OSError for what cannot be read."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.size = os.fstat(self._file.fileno()).st_size
        self.sha256 = ""

    @property
    def key(self) -> str:
        """What it is remembered under."""
        return self.sha256

    def hash(self) -> None:
        """Read it once to know its name in the verdict cache."""
        self.sha256 = hashlib.file_digest(self._file, "sha256").hexdigest()

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        return os.pread(self._file.fileno(), size, offset)

    def fileno(self) -> int:
        """Return its descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Let go of it."""
        self._file.close()


@click.command()
@config_option
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("--mime", metavar="TYPE", help="The Content-Type that files are declared as (default: none).")
@click.option("--url", metavar="URL", help="Where they come from; bypass and access rules then apply too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each file.")
@click.option("--batch", is_flag=True, help="Read JSON lines as of `explain --batch`, each with `file`.")
def scan(
    config_file: Path,
    paths: tuple[Path, ...],
    *,
    mime: str | None,
    url: str | None,
    as_json: bool,
    batch: bool,
) -> int:
    """Scan files, and all files below folders, as downloads, and say what the policy does with each.

    Printed are those that are blocked or in which something was found; with --json all, in the order
    given: {path, verdict, threats, action, findings, errors, stage, rule}. A line of --batch is {id, file,
    uri, headers, response: {status, headers}, …}. Exit status: 0 all pass, 1 something is blocked or could
    not be read.
    """
    if batch is bool(paths):
        raise click.UsageError("name files or folders, or give --batch and no names")
    config = load_config(config_file)
    policy = load_policy(config.policy)
    now = time.time()  # noqa: TID251  (the program's edge: everything below has it passed in)
    try:
        jobs = list(_batched(sys.stdin.buffer, now) if batch else _named(paths, mime, url, now))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    outcomes = _scan_all(config, policy, jobs)
    failed = False
    for outcome in outcomes:
        failed |= outcome.action not in {"allow", "bypass"}
        if as_json or batch:
            print(json.dumps(outcome.document()))
        elif outcome.verdict != "clean" or outcome.action != "allow":
            print("\n".join(outcome.lines()))
    if not as_json and not batch:
        blocked = sum(outcome.action not in {"allow", "bypass"} for outcome in outcomes)
        print(f"{len(outcomes)} scanned, {blocked} would not pass", file=sys.stderr)
    return int(failed)


def _named(paths: Sequence[Path], mime: str | None, url: str | None, now: float) -> Iterator[Job]:
    fields = (("Content-Type", mime),) if mime else ()
    for path in _files(paths):
        where = url or _SITE + quote(os.fsencode(path.name))
        yield Job(path, Question("GET", where, now, response=Answered(200, fields)), url is not None)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            for folder, below, names in os.walk(path):
                below.sort()
                yield from (Path(folder, name) for name in sorted(names))
        else:
            yield path


def _batched(lines: Iterable[bytes], now: float) -> Iterator[Job]:
    """Read jobs from JSON lines. Raises ValueError naming the line."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _job(json.loads(line), now)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number}: {error or 'nested too deeply'}") from None


def _job(value: object, now: float) -> Job:
    if not isinstance(value, dict) or not isinstance(value.get("file"), str):
        raise ValueError("`file` is missing")  # noqa: TRY004  (one kind of error for the user)
    file = Path(value["file"])
    where = value.get("uri")
    asked = {key: each for key, each in value.items() if key != "file"}
    asked.setdefault("uri", _SITE + quote(os.fsencode(file.name)))
    return Job(file, read_question(asked, now), where is not None, value.get("id"))


def _scan_all(config: Config, policy: Policy, jobs: Sequence[Job]) -> list[Outcome]:
    """Scan all, some at once; a bar on a terminal tells how far it is."""
    from icapd.adapters.cache import VerdictCache  # noqa: PLC0415  (what serves, and only here)
    from icapd.adapters.scanners import make_scanners, size_of, worth_of  # noqa: PLC0415

    cache = VerdictCache(config.verdict_cache, time.monotonic, worth=worth_of, size=size_of)
    scanners = make_scanners(config, policy, cache)
    shown = sys.stderr.isatty() and len(jobs) >= _BAR_FROM
    with click.progressbar(length=len(jobs), label="scanning", file=sys.stderr, hidden=not shown) as bar:
        return await_on_reactor(
            partial(_all, scanners, policy, jobs, config.content.max_body, lambda: bar.update(1))
        )


async def _all(
    scanners: Scanners, policy: Policy, jobs: Sequence[Job], limit: int, done: Callable[[], None]
) -> list[Outcome]:
    from twisted.internet.defer import DeferredSemaphore, gatherResults  # noqa: PLC0415

    await scanners.start()
    room = DeferredSemaphore(_AT_ONCE)

    async def one(job: Job) -> Outcome:
        try:
            return await _one(scanners, policy, job, limit)
        finally:
            done()

    try:
        begun = [room.run(one, job) for job in jobs]
        return cast("list[Outcome]", await gatherResults(begun, consumeErrors=True))
    finally:
        await scanners.stop()


async def _one(scanners: Scanners, policy: Policy, job: Job, limit: int) -> Outcome:
    if not job.path.is_file():
        return Outcome(job, None, error="no such file" if not job.path.exists() else "not a regular file")
    try:
        body = FileBody(job.path)
    except OSError as error:
        return Outcome(job, None, error=error.strerror or "cannot be read")
    try:
        if not limit or body.size <= limit:
            body.hash()
        return await _look(scanners, policy, job, body, limit)
    except OSError as error:
        return Outcome(job, None, error=error.strerror or "cannot be read")
    finally:
        body.close()


async def _look(scanners: Scanners, policy: Policy, job: Job, body: FileBody, limit: int) -> Outcome:
    response = job.question.response or Answered()
    tx = replace(job.question, response=response).transaction(Point.RESPMOD)
    findings: tuple[Finding, ...] = scanners.heads(tx) if job.staged else ()
    errors: tuple[ScanError, ...] = ()
    facts = BodyFacts(size=body.size)
    if limit and body.size > limit:
        findings += (too_large(body.size),)
    else:
        found = await scanners.scan(tx, shape_of(tx), body)
        findings, errors, facts = findings + found.findings, found.errors, found.facts
    return Outcome(job, _decide(policy, replace(tx, body=facts), findings, errors, staged=job.staged), errors)


def _decide(
    policy: Policy,
    tx: Transaction,
    findings: tuple[Finding, ...],
    errors: tuple[ScanError, ...],
    *,
    staged: bool,
) -> Decision:
    if not staged:
        return policy.protect(tx, findings, errors)
    decision = policy.decide(tx)
    return policy.protect(tx, findings, errors, decision) if type(decision.action) is Allow else decision


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
