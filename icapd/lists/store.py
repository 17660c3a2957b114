"""Built indexes on disk: one directory for each, named by the digest of what it was made from.

A directory is written aside, synced and renamed into place, so it is there whole or not at
all. A stamp tells which directory belongs to a set of files by their size, times and inode,
so that a start need not read them. The cache is only trusted where nobody else could have
written it, and each part only if its checksum is right: a damaged trie could crash.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import re
import shutil
import struct
import sys
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import marisa_trie

from icapd.lists.index import ListIndex
from icapd.lists.search import Expressions
from icapd.lists.tables import DigestTable, RangeTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Goes into the digest: a new layout, or another machine's, never meets an old file.
FORMAT = f"icapd-lists-5 {sys.byteorder} {struct.calcsize('P')}"
MAX_KEPT = 8
MAX_STAMPS = 64
ABOUT = "about.json"
STAMPS = "stamps"
_SHORT = 2
_OTHERS_WRITE = 0o022
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Parts(Protocol):
    """The parts of an index, by name."""

    def view(self, name: str) -> memoryview:
        """Return the bytes of a part."""
        ...

    def trie(self, name: str) -> marisa_trie.Trie:
        """Return the trie that a part is."""
        ...


class MemoryParts:
    """Parts of an index too small to be kept."""

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}

    def write(self, name: str, data: bytes) -> None:
        """Take one part."""
        self.parts[name] = data

    def view(self, name: str) -> memoryview:
        """Return the bytes of a part."""
        return memoryview(self.parts[name])

    def trie(self, name: str) -> marisa_trie.Trie:
        """Return the trie that a part is."""
        return marisa_trie.Trie().frombytes(self.parts[name])


class MappedParts:
    """Parts in a directory, each checked against its checksum when it is mapped."""

    def __init__(self, folder: Path, checks: Mapping[str, list[int]]) -> None:
        self._folder = folder
        self._checks = checks

    def view(self, name: str) -> memoryview:
        """Map a part. Raises ValueError if it is not what was written."""
        size, check = self._checks[name]
        with (self._folder / name).open("rb") as stream:
            if os.fstat(stream.fileno()).st_size != size:
                raise ValueError(f"{name} has another size")
            view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")
        if zlib.crc32(view) != check:
            raise ValueError(f"{name} is damaged")
        return view

    def trie(self, name: str) -> marisa_trie.Trie:
        """Map a trie."""
        self.view(name)  # the check; its mapping shares the pages
        return marisa_trie.Trie().mmap(str(self._folder / name))


def open_parts(about: Mapping[str, Any], parts: Parts) -> ListIndex:
    """Put an index together. Raises ValueError, KeyError, … where parts do not fit each other."""
    lists = tuple(about["lists"])
    width: int = about["width"]

    def numbers(part: str) -> memoryview:
        view = parts.view(f"{part}.numbers")
        return view.cast("H") if width == _SHORT else view.cast("I")

    tries = tuple((parts.trie(f"keys{at}.trie"), numbers(f"keys{at}")) for at in range(about["tries"]))
    if any(len(trie) != len(row) for trie, row in tries):
        raise ValueError("a trie has lost its numbers")
    masks = [int(mask, 16) for mask in about["sets"]]
    low = (1 << len(lists)) - 1
    sets = tuple(
        (_names(lists, mask & low & ~(mask >> len(lists))), frozenset(_names(lists, mask >> len(lists))))
        for mask in masks
    )
    return ListIndex(
        lists,
        sets=sets,
        tries=tries,
        ranges=(
            RangeTable(parts.view("ranges4"), numbers("ranges4"), 4),
            RangeTable(parts.view("ranges6"), numbers("ranges6"), 16),
        ),
        digests={
            size: DigestTable(
                parts.view(f"digests{size}"), numbers(f"digests{size}"), size, *_digest_names(parts, size)
            )
            for size in (16, 32)
        },
        expressions=Expressions(
            [(pattern, _names(lists, int(mask, 16))) for pattern, mask in about["expressions"]]
        ),
        has_urls=bool(about["has_urls"]),
    )


def _digest_names(parts: Parts, size: int) -> tuple[memoryview, memoryview]:
    return parts.view(f"digests{size}.names").cast("I"), parts.view("names")


def _names(lists: tuple[str, ...], mask: int) -> tuple[str, ...]:
    return tuple(name for at, name in enumerate(lists) if mask >> at & 1)


def default_cache() -> Path | None:
    """Return where built indexes go: systemd's, the user's, or None if there is no place."""
    systemd = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    if systemd:
        return Path(systemd) / "lists"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  (may fail)
    return Path(home) / "icapd" / "lists" if os.path.isabs(home) else None  # noqa: PTH117


def open_built(cache: Path, digest: str) -> tuple[ListIndex, dict[str, Any]] | None:
    """Map the index of `digest`, or return None if it is not there, not whole or not ours."""
    folder = cache / digest
    try:
        if not is_ours(cache) or not is_ours(folder):
            return None
        head, _, body = (folder / ABOUT).read_bytes().partition(b"\n")
        about = json.loads(body)
        if int(head, 16) != zlib.crc32(body) or about["digest_of_sources"] != digest:
            return None
        index = open_parts(about, MappedParts(folder, about["parts"]))
        os.utime(folder)  # so that what is in use is not pruned
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None
    return index, about


def open_stamped(cache: Path, stamp: str) -> tuple[ListIndex, dict[str, Any]] | None:
    """Map the index that a stamp leads to."""
    try:
        if not is_ours(cache) or not is_ours(cache / STAMPS):
            return None
        digest = (cache / STAMPS / stamp).read_text("ascii")
    except (OSError, ValueError):
        return None
    return open_built(cache, digest) if _DIGEST.fullmatch(digest) else None


def write_stamp(cache: Path, stamp: str, digest: str) -> None:
    """Remember which index belongs to the files of `stamp`."""
    with contextlib.suppress(OSError):
        folder = cache / STAMPS
        folder.mkdir(mode=0o700, exist_ok=True)
        aside = folder / f".{stamp}.{os.getpid()}"
        _write(aside, digest.encode())
        aside.rename(folder / stamp)
        _prune(folder, MAX_STAMPS)


class Writer:
    """One index being written aside in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._checks: dict[str, list[int]] = {}

    def write(self, name: str, data: bytes) -> None:
        """Write one part and sync it."""
        _write(self.folder / name, data)
        self._checks[name] = [len(data), zlib.crc32(data)]

    def place(self, cache: Path, digest: str, about: Mapping[str, Any]) -> None:
        """Move the whole into its place; one that is there and sound stays, a damaged one goes."""
        body = json.dumps({**about, "parts": self._checks, "digest_of_sources": digest}).encode()
        _write(self.folder / ABOUT, b"%08x\n%s" % (zlib.crc32(body), body))
        _sync(self.folder)
        if open_built(cache, digest) is None:
            with contextlib.suppress(OSError):
                (cache / digest).rename(self.folder.with_name(f"{self.folder.name}.old"))
            with contextlib.suppress(OSError):  # another process was sooner
                self.folder.rename(cache / digest)
            shutil.rmtree(self.folder.with_name(f"{self.folder.name}.old"), ignore_errors=True)
        _sync(cache)
        _prune(cache, MAX_KEPT)


@contextlib.contextmanager
def writing(cache: Path) -> Iterator[Writer | None]:
    """Give a writer, one process at a time; None where the cache cannot be written or is not ours."""
    with contextlib.ExitStack() as stack:
        writer = None
        with contextlib.suppress(OSError):
            cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_ours(cache):
                lock = stack.enter_context((cache / ".lock").open("ab"))
                fcntl.flock(lock, fcntl.LOCK_EX)
                for left in cache.glob(".new-*"):  # by one that was killed: nobody else is here now
                    shutil.rmtree(left, ignore_errors=True)
                writer = Writer(Path(tempfile.mkdtemp(prefix=".new-", dir=cache)))
                stack.callback(shutil.rmtree, writer.folder, ignore_errors=True)
        yield writer


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prune(folder: Path, kept: int) -> None:
    """Keep what was used last. An index that is mapped stays readable after it is unlinked."""
    entries = [entry for entry in os.scandir(folder) if _DIGEST.fullmatch(entry.name)]
    entries.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime, reverse=True)
    for entry in entries[kept:]:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            Path(entry.path).unlink(missing_ok=True)


def is_ours(path: Path) -> bool:
    """Tell whether nobody but this user and root could have written there. Raises OSError."""
    status = path.stat(follow_symlinks=False)
    return status.st_uid in {0, os.geteuid()} and not status.st_mode & _OTHERS_WRITE
