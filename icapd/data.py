"""Find the files icapd ships: `squid/` (templates) and `rules/` (pages, default policy, lists).

They are mapped to `icapd.share.*` when installed (wheel, sdist, zip) and lie beside the
package in a checkout or an editable install.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

Tree = Literal["squid", "rules"]


def shared(tree: Tree, *parts: str) -> Traversable:
    """Return a shipped file or directory, such as "rules", "pages", "block.html".

    It need not be a file on disk (zip import): read it, or use importlib.resources.as_file.
    Raises IcapdError if the installation lacks it.
    """
    installed = files("icapd") / "share" / tree
    found = installed if installed.is_dir() else Path(__file__).resolve().parents[1] / tree
    for part in parts:
        found = found / part
    if not (found.is_file() or found.is_dir()):
        msg = f"{found}: missing from this installation of icapd; install it again"
        raise IcapdError(msg)
    return found


def read_shared(tree: Tree, *parts: str) -> str:
    """Return the text (UTF-8) of a shipped file. Raises IcapdError if it is missing."""
    return shared(tree, *parts).read_text(encoding="utf-8")
