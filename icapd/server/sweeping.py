"""Files that a killed process may have left: each has its name for a moment, and that may be its last."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.lists.store import default_cache

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.config import Config

ABANDONED = 60.0  # s; whoever is alive has let go of the name long before


def sweep(config: Config) -> int:
    """Remove what is ours and abandoned; return how much it was. Never fails."""
    now = time.time()  # noqa: TID251  # as files' times are
    swept = 0
    for path in _left(config):
        with suppress(OSError):
            found = path.lstat()
            if found.st_uid != os.geteuid() or now - found.st_mtime < ABANDONED:
                continue
            if stat.S_ISDIR(found.st_mode):
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
            swept += 1
    return swept


def _left(config: Config) -> Iterator[Path]:
    items = Path(config.content.directory or tempfile.gettempdir())
    lists = default_cache()
    places = [(config.spool.directory, "icapd-body-*"), (items, "icapd-item-*")]
    if lists is not None:
        places.append((lists.with_name("yara"), "tmp*"))
    for directory, pattern in places:
        with suppress(OSError):
            yield from directory.glob(pattern)
