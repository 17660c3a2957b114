"""Put the fragment and the error pages on disk, each whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.data import shared
from icapd.errors import IcapdError
from icapd.squid.conf import render_conf

if TYPE_CHECKING:
    from icapd.config import Config

_READABLE = 0o644  # by Squid's user, which is not ours


def write_fragments(config: Config, out: Path) -> tuple[Path, ...]:
    """Write `out`/icapd.conf and `out`/errors/ERR_…, over older ones; return what was written.

    Directories are made as needed. Raises ConfigError for a value squid.conf cannot hold,
    IcapdError if a file cannot be written.
    """
    out = out.absolute()
    errors = config.squid.error_directory or out / "errors"
    texts = {out / "icapd.conf": render_conf(config, errors)}
    for page in sorted(shared("squid", "errors").iterdir(), key=lambda page: page.name):
        texts[out / "errors" / page.name] = page.read_text(encoding="utf-8")
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, text)
    except OSError as error:
        msg = f"{error.filename or out}: {error.strerror}"
        raise IcapdError(msg) from None
    return tuple(texts)


def _replace(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), _READABLE)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
