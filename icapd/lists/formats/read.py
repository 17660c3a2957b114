"""Which format a file has, and what no list is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.lists.formats.domains import read_domains
from icapd.lists.formats.expressions import read_expressions
from icapd.lists.formats.hashes import read_hashes
from icapd.lists.formats.networks import read_networks
from icapd.lists.formats.urls import read_urls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from icapd.lists.entry import Item


def read_source(stream: BinaryIO, kind: str, path: Path) -> tuple[str, Iterator[Item]]:
    """Return the name of the format and the entries of a file."""
    name, read = _FORMATS[kind]
    return name, read(stream)


_FORMATS: dict[str, tuple[str, Callable[[BinaryIO], Iterator[Item]]]] = {
    "domains": ("domains", read_domains),
    "urls": ("URLs", read_urls),
    "expressions": ("expressions", read_expressions),
    "cidr": ("networks", read_networks),
    "sha256": ("SHA-256", lambda stream: read_hashes(stream, "sha256")),
    "md5": ("MD5", lambda stream: read_hashes(stream, "md5")),
}
