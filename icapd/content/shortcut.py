"""The short way: bodies in which plainly nothing is to unpack or to read are walked here, not in a child.

It is the same walk, so it gives the same report; what it may be asked of are small bodies that no parser
but our own patterns looks at. The rest, and all in doubt, is None.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from icapd.content import codings, documents, multipart, zips
from icapd.content.budget import Bounds
from icapd.content.store import Store
from icapd.content.types import hidden, types_of
from icapd.content.walk import Walk

if TYPE_CHECKING:
    from icapd.content.model import Report, Shape

MOST = 1 << 16  # bytes; more takes longer than it takes to ask a child
# Types that nothing looks into.
_INERT = frozenset(
    ["png", "jpeg", "gif", "webp", "bmp", "ico", "avif", "woff", "ttf", "otf", "mp3", "ogg", "flac", "wav"]
)


class Body(Protocol):
    """What of a body is needed here; see icapd.adapters.model."""

    size: int

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of it."""
        ...

    def fileno(self) -> int:
        """Return its descriptor."""
        ...


def short_report(shape: Shape, body: Body, *, md5: bool = True) -> Report | None:
    """Return the report of small content that nothing looks into, None for anything else."""
    if not 0 < body.size <= MOST or codings.known(shape.codings) or multipart.is_multipart(shape.media):
        return None
    data = body.read(0, body.size)
    types = types_of(data)
    if len(data) != body.size or not _is_plain(shape, data, types):
        return None
    fd = os.dup(body.fileno())
    store = Store(md5=md5)
    try:
        report = Walk(Bounds(), store, types).run(shape, store.piece_of(fd, body.size, data))
    except Exception:  # noqa: BLE001  (the long way can stand what this one cannot)
        report = None
    if report is None or [item.fd for item in report.items] != [fd]:
        store.close()
        os.close(fd)
        return None
    return report


def _is_plain(shape: Shape, data: bytes, types: tuple[str, ...]) -> bool:
    if any(name.lower().endswith(codings.ENDINGS) for name in shape.names):
        return False
    if not _INERT.issuperset(types) or zips.MEMBER.is_in(data) or multipart.is_mail(shape.media, data):
        return False
    if next(hidden(data), None) is not None:
        return False
    return documents.is_quiet(data, types, next(iter(shape.names), ""))
