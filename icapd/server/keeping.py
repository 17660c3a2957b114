"""The text of each policy that was loaded, put where the event store takes it in, for `icapd why`."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from icapd.recording import policies_directory
from icapd.server.site import load_generation

if TYPE_CHECKING:
    from icapd.config import Config
    from icapd.server.site import Generation


def load_kept(config: Config, old: Generation | None = None) -> Generation:
    """Load as `load_generation` does, and keep the policy's text: for one process of all."""
    texts = Texts(config)
    generation = load_generation(config, old)
    texts.keep(generation.policy.digest)
    return generation


class Texts:
    """The files of a policy, as they are before it is loaded; `keep` afterwards."""

    def __init__(self, config: Config) -> None:
        self._files = (config.policy,)
        self._store = config.events.store_file(config.decisions)
        self._before = self._read()

    def keep(self, digest: str) -> None:
        """Write them as DIGEST.json, whole or not at all. A failure is told, and stops nothing.

        Nothing is written if the files have changed meanwhile: who loads those keeps them.
        """
        if self._store is None or not self._before or self._before != self._read():
            return
        if not self._store.parent.is_dir():
            return  # there is no store either, and whoever opens the log or the store tells why
        directory = policies_directory(self._store)
        new = directory / f".{digest}.{os.getpid()}"
        try:
            directory.mkdir(mode=0o750, exist_ok=True)
            new.write_text(json.dumps(self._before))
            new.replace(directory / f"{digest}.json")
        except OSError as failure:
            with suppress(OSError):
                new.unlink()
            sys.stderr.write(f"icapd: warn: the text of policy {digest} is not kept: {failure}\n")

    def _read(self) -> dict[str, str]:
        if self._store is None:
            return {}
        try:
            return {str(file): file.read_text("utf-8-sig") for file in self._files}
        except (OSError, ValueError):
            return {}  # loading tells
