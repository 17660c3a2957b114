"""Lists that were big and are empty now: a failed download, until somebody says it is meant."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.errors import ConfigError, ConfigErrors
from icapd.lists.store import is_ours

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icapd.lists.report import FileReport

BIG = 1_000  # entries
_SEEN = "seen.json"


def refuse_shrunk(cache: Path, files: Iterable[FileReport], *, accept: bool = False) -> None:
    """Remember which files are big, in `cache`; raise ConfigErrors for those that were and hold nothing now.

    `accept` takes them as they are.
    """
    seen = _read(cache)
    now = {file.file: file.accepted for file in files}
    shrunk = [file for file, count in now.items() if not count and file in seen]
    if shrunk and not accept:
        told = "entries when last read and holds none now; if that is meant: icapd lists build --accept-empty"
        raise ConfigErrors(ConfigError(file, 0, f"held {seen[file]:,} {told}") for file in shrunk)
    kept = {file: count for file, count in seen.items() if file not in shrunk and Path(file).exists()}
    kept |= {file: count for file, count in now.items() if count >= BIG}
    if kept != seen:
        _write(cache, kept)


def _read(cache: Path) -> dict[str, int]:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if is_ours(cache):
            seen = json.loads((cache / _SEEN).read_bytes())
            return {str(file): int(count) for file, count in seen.items()}
    return {}


def _write(cache: Path, seen: dict[str, int]) -> None:
    with contextlib.suppress(OSError):
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_ours(cache):
            aside = cache / f".{_SEEN}.{os.getpid()}"
            aside.write_text(json.dumps(seen), "utf-8")
            aside.replace(cache / _SEEN)
