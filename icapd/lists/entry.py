"""What a line of a list file gives."""

from __future__ import annotations

from typing import Protocol

Item = tuple[int, str, str]
"""(line, kind, value); kinds:

name, exact, except    a host in normal form: with what is below it, alone, or taken out with what is below it
url, spelling          host, path and perhaps query, joined by FIELD; a spelling is of the url before it
range                  "4 FIRST LAST" or "6 …"
md5, sha256            in lower-case hexadecimal, and perhaps a name, joined by FIELD
expression             for RE2
ignored                the reason
"""

IGNORED = "ignored"
FIELD = "\x1f"


class Readable(Protocol):
    """A binary stream, as far as parsers need it."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, b"" at the end."""
        ...
