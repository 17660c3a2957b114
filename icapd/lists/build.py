"""Every source of every list, read once, into one index."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from icapd.errors import ConfigError, ConfigErrors
from icapd.lists.collect import Collector
from icapd.lists.entry import IGNORED
from icapd.lists.formats import HEAD, NoListError, read_source
from icapd.lists.report import MAX_SHOWN, FileReport, Ignored, ListReport
from icapd.lists.spec import sources_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from icapd.lists.entry import Item
    from icapd.lists.spec import ListSpec, Source

PER_TRIE = 32 << 20  # bytes of list files for each trie: some 1.5 M names
MAX_TRIES = 64
MAX_FILE = 4 << 30  # bytes


@dataclass(frozen=True, slots=True)
class Read:
    """A source that was read: what it gave, and the SHA-256 of its bytes."""

    report: FileReport
    sha256: str


class Opened:
    """A file being read: a stream that digests what is read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.format = ""
        self.digest = hashlib.sha256()
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes."""
        data = self._stream.read(size)
        self.digest.update(data)
        return data

    def read_rest(self) -> None:
        """Digest what a parser left, having found the end of its data."""
        while self.read(1 << 20):
            pass


def file_stamp(status: os.stat_result) -> str:
    """Return what changes when a file does: device, inode, size and times (ctime cannot be set back)."""
    fields = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return " ".join(map(str, fields))


def build(
    specs: Sequence[ListSpec], write: Callable[[str, bytes], None], scratch: Path | None
) -> tuple[dict[str, Any], dict[Source, Read]]:
    """Read all sources and write the parts of their index; return what opens it, and what was read.

    Raises ConfigErrors for every file that cannot be read or is no list, with its place.
    """
    sources = sources_of(specs)
    total = sum(source.path.stat().st_size for source in sources)
    tries = 1
    while scratch is not None and tries < MAX_TRIES and total > tries * PER_TRIE:
        tries *= 2
    collector = Collector(len(specs), tries, scratch)
    read: dict[Source, Read] = {}
    errors: list[ConfigError] = []
    for source in sources:
        mask = sum(1 << at for at, spec in enumerate(specs) if source in spec.sources)
        try:
            read[source] = _read(source, partial(collector.add, mask))
        except ConfigError as error:
            errors.append(error)
        except OSError as error:
            errors.append(ConfigError(source.path, 0, f"cannot be read: {error.strerror or error}"))
    if errors:
        raise ConfigErrors(errors)
    about = collector.finish(write)
    reports = [
        ListReport(spec.name, entries, tuple(read[source].report for source in spec.sources))
        for spec, entries in zip(specs, collector.entries, strict=True)
    ]
    about["lists"] = [spec.name for spec in specs]
    about["reports"] = [asdict(report) for report in reports]
    return about, read


@contextmanager
def open_source(source: Source) -> Iterator[tuple[Opened, Iterator[Item]]]:
    """Open one file and give its entries. Raises OSError, and ConfigError where it is no list."""
    with source.path.open("rb", buffering=1 << 20) as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(source.path, 0, "is not a regular file")
        if status.st_size > MAX_FILE:
            raise ConfigError(source.path, 0, f"is larger than {MAX_FILE >> 30} GiB")
        head = stream.read(HEAD)
        stream.seek(0)
        opened = Opened(stream)
        try:
            opened.format, items = read_source(opened, source.kind, head)
        except NoListError as error:
            raise ConfigError(source.path, 1, str(error)) from error
        yield opened, items


def _read(source: Source, add: Callable[[str, str], None]) -> Read:
    """Read one file. Raises ConfigError where it holds no entry but has lines: it is no list."""
    accepted = 0
    counts: Counter[str] = Counter()
    lines: dict[str, list[int]] = {}
    with open_source(source) as (opened, items):
        for line, kind, value in items:
            if kind != IGNORED:
                accepted += kind != "spelling"
                add(kind, value)
                continue
            counts[value] += 1
            shown = lines.setdefault(value, [])
            if len(shown) < MAX_SHOWN:
                shown.append(line)
        opened.read_rest()
    ignored = tuple(Ignored(why, count, tuple(lines[why])) for why, count in counts.most_common())
    if ignored and not accepted:
        first = ignored[0]
        message = f"holds no entry: {counts.total():,} lines ignored, most of them as {first.reason!r}"
        raise ConfigError(source.path, first.lines[0], message)
    report = FileReport(str(source.path), opened.format, accepted, ignored)
    return Read(report, opened.digest.hexdigest())


def report_of(value: Mapping[str, Any]) -> ListReport:
    """Return a report from its JSON value."""
    return ListReport(
        str(value["name"]),
        int(value["entries"]),
        tuple(
            FileReport(
                str(file["file"]),
                str(file["format"]),
                int(file["accepted"]),
                tuple(
                    Ignored(str(one["reason"]), int(one["count"]), tuple(map(int, one["lines"])))
                    for one in file["ignored"]
                ),
            )
            for file in value["files"]
        ),
    )
