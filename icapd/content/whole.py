"""Whether a body is the whole of what was asked for. Sources: RFC 9110 §8.6, §14.4, §15.3.7."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icapd.content.model import Shape

_RANGE = re.compile(r"\s*bytes\s+(\d{1,18})\s*-\s*(\d{1,18})\s*/\s*(\d{1,18}|\*)\s*", re.IGNORECASE)


def missing(shape: Shape, size: int) -> str | None:
    """Return why a body of `size` bytes is only a part, or None if it is whole as far as can be told.

    A 206 without Content-Range is judged by its content, unless it is of several ranges.
    """
    if shape.length is not None and size < shape.length:
        return f"{size} of {shape.length} bytes"
    if shape.range is None:
        return None
    if any(one.strip().lower().startswith("multipart/byteranges") for one in shape.media):
        return "ranges"
    if not shape.range.strip():
        return None
    match = _RANGE.fullmatch(shape.range)
    if match is not None and int(match[1]) == 0 and match[3] == str(int(match[2]) + 1) == str(size):
        return None
    return f"range {shape.range.strip()[:60]}"
