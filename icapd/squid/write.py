"""Put the fragment and the error pages on disk, each whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.data import shared
from icapd.errors import IcapdError
from icapd.policy import load_policy
from icapd.squid.conf import SIGNATURE, render_conf

if TYPE_CHECKING:
    from icapd.config import Config
    from icapd.policy import Policy

_SQUIDS_PAGES = (
    Path("/usr/share/squid/errors/templates"),  # Debian
    Path("/usr/share/squid/errors/en"),  # others, and upstream's own prefix
    Path("/usr/local/squid/share/errors/templates"),
)
FRAGMENT = "icapd.conf"
_READABLE = 0o644  # by Squid's user, which is not ours


def write_fragments(config: Config, out: Path) -> tuple[Path, ...]:
    """Write `out`/icapd.conf and `out`/errors/ERR_…, over older ones; return what was written.

    Directories are made as needed. Raises ConfigError for a value squid.conf cannot hold, ConfigErrors
    for a policy that cannot be loaded (intercepted TLS alone needs it), IcapdError if a file cannot be
    written.
    """
    out = out.absolute()
    errors = config.squid.error_directory or out / "errors"
    texts = {out / FRAGMENT: render_conf(config, errors, _policy(config))}
    for page in sorted(shared("squid", "errors").iterdir(), key=lambda page: page.name):
        text = page.read_text(encoding="utf-8")
        texts[out / "errors" / page.name] = text.rstrip("\n")  # Squid would send it with the page
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, text)
        _link_squids_pages(out / "errors")
    except OSError as error:
        msg = f"{error.filename or out}: {error.strerror}"
        raise IcapdError(msg) from None
    return tuple(texts)


def _policy(config: Config) -> Policy | None:
    """Return the policy where Squid needs to know its rules on tunnels. Raises ConfigErrors."""
    if not any(port.intercepts and port.bump for port in config.squid.ports):
        return None
    return load_policy(config.policy)


def is_foreign(out: Path) -> bool:
    """Tell whether `out`/icapd.conf is there and not icapd's. Raises IcapdError if it cannot be read."""
    path = out / FRAGMENT
    try:
        return not path.read_text(encoding="utf-8", errors="replace").startswith(SIGNATURE)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise IcapdError(f"{path}: {error.strerror}") from None


def _link_squids_pages(errors: Path) -> None:
    """Link Squid's own pages into `errors`: an error_directory without them works, but is complained about.

    Where Squid is not installed there is nothing to link. Pages an admin put there stay.
    """
    source = next((directory for directory in _SQUIDS_PAGES if directory.is_dir()), None)
    for page in sorted(source.iterdir()) if source else ():
        link = errors / page.name
        if link.is_symlink() and not link.exists():
            link.unlink()
        if page.is_file() and not link.exists():
            link.symlink_to(page)


def _replace(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), _READABLE)
            os.fsync(file.fileno())  # or a power cut may leave the new name on an empty file
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
