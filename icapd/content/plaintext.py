"""Markup and scripts as one encoding, so that one regex finds a tag in each."""

from __future__ import annotations

import re

_MARKS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_BARE_LE = re.compile(rb"(?:[\t\n\r ]\0)*[!-~]\0[!-~]\0[!-~]\0")
_BARE_BE = re.compile(rb"(?:\0[\t\n\r ])*\0[!-~]\0[!-~]\0[!-~]")


def plain(data: bytes) -> bytes:
    """Return UTF-16 text, with a byte order mark or without, as UTF-8; anything else as it is."""
    for mark, coding in _MARKS:
        if data.startswith(mark):
            return data[2:].decode(coding, "replace").encode("utf-8", "replace")
    if _BARE_LE.match(data) is not None:
        return data.decode("utf-16-le", "replace").encode("utf-8", "replace")
    if _BARE_BE.match(data) is not None:
        return data.decode("utf-16-be", "replace").encode("utf-8", "replace")
    return data
