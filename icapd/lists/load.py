"""From the policy's lists to one index: mapped if it was built before, else built and kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icapd.errors import ConfigError, ConfigErrors
from icapd.lists.build import build, file_stamp, report_of
from icapd.lists.child import BIG, build_in_child
from icapd.lists.shrunk import refuse_shrunk
from icapd.lists.spec import ListSpec, Source, sources_of
from icapd.lists.store import (
    FORMAT,
    MemoryParts,
    open_built,
    open_parts,
    open_stamped,
    write_stamp,
    writing,
)
from icapd.lists.suffixes import suffix_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from icapd.lists.index import ListIndex
    from icapd.lists.report import ListReport
    from icapd.lists.store import Writer
    from icapd.verdicts import Kind

MIN_KEPT = 256_000  # bytes of list files; less is built sooner than a cache is justified
SETTLED = 2_000_000_000  # ns after which a file's times tell the next change from the last


@dataclass(frozen=True, slots=True)
class ListSet:
    """All lists of a policy behind one lookup.

    `digest` changes exactly when the entries of a list do: not with comments, order or case;
    `digests` are those of each list. `categories` holds the category of each list, by default its name;
    `threats` the lists whose entries are threats, and which.
    """

    index: ListIndex
    reports: tuple[ListReport, ...]
    digest: str
    digests: Mapping[str, str]
    categories: Mapping[str, str]
    files: tuple[Path, ...]
    threats: Mapping[str, Kind] = field(default_factory=dict)
    stamps: tuple[str, ...] = ()
    """Of `files`, as they were when read; none where a change since might not show in them."""

    @property
    def is_current(self) -> bool:
        """Tell whether no file has changed since."""
        return len(self.stamps) == len(self.files) and self.stamps == _stamps(self.files)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all lists."""
        return self.index.lists

    def lookup(self, host: str) -> tuple[str, ...]:
        """Return the lists that hold `host` (normal form) or a parent of it; an address by its networks."""
        return self.index.lookup(host)

    def lookup_url(
        self, host: str, paths: Sequence[str], query: str | None = None, *, strict: bool = False
    ) -> tuple[str, ...]:
        """Return the lists with a URL above, or an expression in, `host` + one of `paths`.

        `paths` are spellings of one path; `strict` (to exempt) asks every one of them, as written.
        """
        return self.index.lookup_url(host, paths, query, strict=strict)

    def may_hold_url(self, host: str) -> tuple[str, ...]:
        """Return the lists that could hold a URL of `host`: for CONNECT, where the path is unknown."""
        return self.index.may_hold_url(host)

    def lookup_address(self, address: str) -> tuple[str, ...]:
        """Return the lists that hold an address, alone or in a network."""
        return self.index.lookup_address(address)

    def lookup_hash(self, digest: str) -> tuple[str, ...]:
        """Return the lists that hold an MD5 or SHA-256 digest (hexadecimal)."""
        return self.index.lookup_hash(digest)

    def has_hash(self, name: str, digest: str) -> bool:
        """Tell whether list `name` holds a digest (hexadecimal)."""
        return name in self.index.lookup_hash(digest)

    def hash_name(self, digest: str) -> str:
        """Return what the lists call a digest (hexadecimal), or ""."""
        return self.index.hash_name(digest)


def load_lists(
    lists: Sequence[ListSpec] | Mapping[str, Sequence[Path]],
    cache: Path | None = None,
    *,
    accept_empty: bool = False,
) -> ListSet:
    """Read the lists. `cache` is where built indexes are kept.

    A mapping is of names to files of domains. An index that is missing and big is built by a
    process of its own, so a thread that calls this leaves the others running. Raises
    ConfigErrors: every file that cannot be read or is no list, or that was big when it was
    last read and is empty now, unless `accept_empty`.
    """
    specs = _specs(lists)
    files = tuple(dict.fromkeys(source.path for source in sources_of(specs)))
    before = _stamps(files)
    now = time.time_ns()  # held against files' times
    loaded = _load(specs, cache)
    if before == _stamps(files) and _is_settled(specs, now):
        loaded = replace(loaded, stamps=before)
    if cache is not None:
        reports = [file for report in loaded.reports for file in report.files]
        refuse_shrunk(cache, reports, accept=accept_empty)
    return loaded


def _stamps(files: Iterable[Path]) -> tuple[str, ...]:
    """Return what changes when a file does, for each that is there."""
    found = []
    for path in files:
        with contextlib.suppress(OSError):
            found.append(file_stamp(path.stat()))
    return tuple(found)


def _load(specs: tuple[ListSpec, ...], cache: Path | None) -> ListSet:
    sources = sources_of(specs)
    try:
        total = sum(source.path.stat().st_size for source in sources)
        if cache is None or total < MIN_KEPT:
            return _list_set(*_in_memory(specs, total), specs)
        found = open_stamped(cache, stamp_of(specs))
        if found is None and total >= BIG and build_in_child(specs, cache):
            found = open_stamped(cache, stamp_of(specs))
        return _list_set(*(found or ensure_built(specs, cache)), specs)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise ConfigErrors([ConfigError(error.filename or "lists", 0, reason)]) from error


def _specs(lists: Sequence[ListSpec] | Mapping[str, Sequence[Path]]) -> tuple[ListSpec, ...]:
    if isinstance(lists, tuple | list):
        return tuple(lists)
    assert not isinstance(lists, tuple)  # noqa: S101
    return tuple(
        ListSpec(name, tuple(Source(path, "domains") for path in paths))
        for name, paths in dict(lists).items()  # type: ignore[arg-type]
    )


def ensure_built(specs: Sequence[ListSpec], cache: Path) -> tuple[ListIndex, dict[str, Any]]:
    """Find the index of these files by their contents, or build it; either way stamp it.

    Without a place to keep it, it is built in memory.
    """
    with contextlib.suppress(OSError), writing(cache) as writer:
        found = None if writer is None else _kept(specs, cache, writer)
        if found is not None:
            return found
    return _in_memory(specs, 0)


def _kept(specs: Sequence[ListSpec], cache: Path, writer: Writer) -> tuple[ListIndex, dict[str, Any]] | None:
    stamp = stamp_of(specs)
    now = cache.stat().st_mtime_ns  # the writer's place was made in it just now
    digest = _digest(specs, {source: _file_digest(source.path) for source in sources_of(specs)})
    found = open_built(cache, digest)
    if found is None:
        about, read = build(specs, writer.write, writer.folder)
        digest = _digest(specs, {source: one.sha256 for source, one in read.items()})
        writer.place(cache, digest, about)
        found = open_built(cache, digest)
    if found is not None and stamp == stamp_of(specs) and _is_settled(specs, now):
        write_stamp(cache, stamp, digest)
    return found


def _in_memory(specs: Sequence[ListSpec], total: int) -> tuple[ListIndex, dict[str, Any]]:
    parts = MemoryParts()
    if total < MIN_KEPT:
        about, _ = build(specs, parts.write, None)
    else:
        with tempfile.TemporaryDirectory(prefix="icapd-lists-") as scratch:
            about, _ = build(specs, parts.write, Path(scratch))
    return open_parts(about, parts), about


def stamp_of(specs: Sequence[ListSpec]) -> str:
    """Return the stamp of the files as they are now, without reading them."""
    return _digest(specs, {source: file_stamp(source.path.stat()) for source in sources_of(specs)})


def _is_settled(specs: Sequence[ListSpec], now: int) -> bool:
    """Tell whether a further change of any file would show in its times.

    A file that changes twice within one tick of the file system's clock may keep its times.
    `now` (ns) is by such a clock, from before the files were read.
    """
    return all(now - source.path.stat().st_ctime_ns > SETTLED for source in sources_of(specs))


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(specs: Sequence[ListSpec], digests: Mapping[Source, str]) -> str:
    """Return what the built index depends on: format, suffixes, lists, and `digests` of the files."""
    lists = [
        [spec.name, [[source.kind, str(source.path), digests[source]] for source in spec.sources]]
        for spec in specs
    ]
    return hashlib.sha256(json.dumps([FORMAT, suffix_version(), lists]).encode()).hexdigest()


def _list_set(index: ListIndex, about: Mapping[str, Any], specs: Sequence[ListSpec]) -> ListSet:
    digests = dict(zip(index.lists, about["digests"], strict=True))
    whole = hashlib.sha256(json.dumps([[name, one] for name, one in digests.items()]).encode())
    return ListSet(
        index,
        tuple(map(report_of, about["reports"])),
        whole.hexdigest(),
        digests,
        {spec.name: spec.category or spec.name for spec in specs},
        tuple(dict.fromkeys(source.path for source in sources_of(specs))),
        {spec.name: spec.threat for spec in specs if spec.threat is not None},
    )
