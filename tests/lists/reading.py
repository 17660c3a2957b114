"""What the formats make of a text."""

from __future__ import annotations

import io

from icapd.lists.entry import FIELD, IGNORED, Item
from icapd.lists.formats import HEAD, read_source


def read(kind: str, data: str | bytes) -> tuple[str, list[Item]]:
    raw = data.encode() if isinstance(data, str) else data
    name, items = read_source(io.BytesIO(raw), kind, raw[:HEAD])
    return name, list(items)


def taken(kind: str, data: str | bytes) -> list[str]:
    """Entries as "kind value", a URL's fields joined by blanks."""
    return [
        f"{what} {value.replace(FIELD, ' ')}" for _, what, value in read(kind, data)[1] if what != IGNORED
    ]


def ignored(kind: str, data: str | bytes) -> list[tuple[int, str]]:
    return [(line, value) for line, what, value in read(kind, data)[1] if what == IGNORED]
