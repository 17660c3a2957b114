"""Built indexes on disk: one directory for each, named by the digest of what it was made from.

A directory is written aside and renamed into place, so it is there whole or not at all; two
processes that build the same one do the same work and either result serves. The cache is
only trusted where nobody else could have written it.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import marisa_trie

from icapd.lists.index import GROUPS, NAMES, ListIndex

FORMAT = "icapd-lists-1"  # goes into the digest: a new layout never meets an old file
MAX_KEPT = 8
_OTHERS_WRITE = 0o022


@dataclass(frozen=True, slots=True)
class Built:
    """An index with what was told about it when it was made (JSON values)."""

    index: ListIndex
    about: dict[str, Any]


def default_cache() -> Path | None:
    """Return where built indexes go: systemd's, the user's, or None if there is no place."""
    systemd = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    if systemd:
        return Path(systemd) / "lists"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  (may fail)
    return Path(home) / "icapd" / "lists" if os.path.isabs(home) else None  # noqa: PTH117


def open_built(cache: Path, digest: str) -> Built | None:
    """Map the index of `digest`, or return None if it is not there, not whole or not ours."""
    folder = cache / digest
    try:
        if not _is_ours(cache) or not _is_ours(folder):
            return None
        about = json.loads((folder / "about.json").read_bytes())
        trie = marisa_trie.Trie().mmap(str(folder / NAMES))
        with (folder / GROUPS).open("rb") as stream:
            mapped = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        groups = mapped.cast("H" if about["width"] == 2 else "I")  # noqa: PLR2004
        os.utime(folder)  # so that what is in use is not pruned
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None
    if len(groups) != len(trie) or len(trie) != about["size"]:
        return None
    sets = tuple(map(tuple, about["sets"]))
    return Built(ListIndex(tuple(about["lists"]), trie, groups, sets), about)


def save_built(cache: Path, digest: str, built: Built) -> None:
    """Write an index aside and move it into place. A cache that cannot be written is no error."""
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(cache):
            return
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=cache))
        try:
            built.index.save(aside)
            (aside / "about.json").write_text(json.dumps(built.about), "utf-8")
            aside.rename(cache / digest)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        _prune(cache)
    except OSError:
        return


def _prune(cache: Path) -> None:
    """Keep the indexes used last. One that is mapped stays readable after it is unlinked."""
    folders = [entry for entry in os.scandir(cache) if entry.is_dir(follow_symlinks=False)]
    folders.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
    for entry in folders[MAX_KEPT:]:
        shutil.rmtree(entry.path, ignore_errors=True)


def _is_ours(path: Path) -> bool:
    status = path.stat(follow_symlinks=False)
    return status.st_uid in {0, os.geteuid()} and not status.st_mode & _OTHERS_WRITE
