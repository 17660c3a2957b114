"""The short way: bodies in which plainly nothing is to unpack are walked here, not in a child.

It is the same walk, so it gives the same report; what it may be asked of are small bodies that no parser
but our own patterns looks at. The rest, and all in doubt, is None.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from icapd.content import codings, multipart
from icapd.content.budget import Bounds
from icapd.content.store import Store, piece_of
from icapd.content.types import hidden, types_of
from icapd.content.walk import Walk

if TYPE_CHECKING:
    from icapd.content.model import Report, Shape

MOST = 1 << 16  # bytes; more takes longer than it takes to ask a child
# Types that nothing looks into.
_INERT = frozenset(
    ["png", "jpeg", "gif", "webp", "bmp", "ico", "avif", "woff", "ttf", "otf", "mp3", "ogg", "flac", "wav"]
)
_SIGNS = (
    b"<",
    b"\0",
    b"PK",
    b"%PDF",
    b"{\\rt",
    b"ActiveMime",
    b"MIME-Version",
)  # in text: may be more than that


class Body(Protocol):
    """What of a body is needed here; see icapd.adapters.model."""

    size: int
    sha256: str

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of it."""
        ...

    def fileno(self) -> int:
        """Return its descriptor."""
        ...


def short_report(shape: Shape, body: Body) -> Report | None:
    """Return the report of a small picture, font or text with nothing in it, None for anything else."""
    if not 0 < body.size <= MOST or codings.known(shape.codings) or multipart.is_multipart(shape.media):
        return None
    data = body.read(0, body.size)
    if len(data) != body.size or not _is_plain(shape, data):
        return None
    fd = os.dup(body.fileno())
    store = Store()
    try:
        report = Walk(Bounds(), store).run(shape, piece_of(fd, body.size))
    except Exception:  # noqa: BLE001  (the long way can stand what this one cannot)
        report = None
    if report is None or [item.fd for item in report.items] != [fd]:
        store.close()
        os.close(fd)
        return None
    return report


def _is_plain(shape: Shape, data: bytes) -> bool:
    types = types_of(data)
    if any(name.lower().endswith(codings.ENDINGS) for name in shape.names):
        return False
    if multipart.is_mail(shape.media, data) or next(hidden(data), None) is not None:
        return False
    if types:
        return _INERT.issuperset(types) and b"PK\x03\x04" not in data
    return not any(sign in data for sign in _SIGNS) and data.isascii()
