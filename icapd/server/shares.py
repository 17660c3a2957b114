"""What of the options is divided among workers, so that all of them together keep what one process would.

Verdicts are remembered by each worker for itself: what comes over two connections may be scanned twice.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from icapd.config import render_config
from icapd.options import AdapterEntry

if TYPE_CHECKING:
    from icapd.config import Config
    from icapd.server.site import Generation

_CONCURRENCY = 8  # clamd's default; see icapd.adapters.clam_options


def share_of(config: Config, workers: int) -> Config:
    """Return the options of one of `workers`, the same for each of them."""
    if workers == 1:
        return config
    content, spool, cache = config.content, config.spool, config.verdict_cache
    children = content.children or os.cpu_count() or 1
    update = {
        "content": content.model_copy(update={"children": max(1, children // workers)}),
        "spool": spool.model_copy(
            update={
                "memory": max(spool.body_memory, spool.memory // workers),
                "disk": max(min(spool.disk, content.max_body), spool.disk // workers),
            }
        ),
        "verdict_cache": cache.model_copy(
            update={"entries": cache.entries // workers, "megabytes": max(1, cache.megabytes // workers)}
        ),
        "adapters": tuple(_fewer(entry, workers) for entry in config.adapters),
    }
    return config.model_copy(update=update)


def keys_of(config: Config, generation: Generation) -> str:
    """Return what is equal in two processes if they have loaded the same files."""
    text = f"{render_config(config)}\n{generation.loaded.decode('ascii')}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _fewer(entry: AdapterEntry, workers: int) -> AdapterEntry:
    """Clamd's MaxThreads is for all that ask it."""
    if entry.kind != "clamd":
        return entry
    asked = getattr(entry.text, "concurrency", None)
    try:
        number = _CONCURRENCY if asked is None else int(asked)
    except ValueError:
        return entry  # the adapter says what is wrong with it
    text = entry.text.model_copy(update={"concurrency": str(max(1, number // workers))})
    return AdapterEntry.model_construct({entry.kind: text})
