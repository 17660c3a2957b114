"""HTTP message heads as ICAP encapsulates them, read lazily from their bytes.

A head is kept exactly as it arrived: what passes must be unchanged to the byte. Fields
are found when they are asked for, since most decisions need two or three of them.
Source: RFC 9112 §2-§5; RFC 3507 §4.4.2.
"""

from __future__ import annotations

import re

CRLF = b"\r\n"

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S(?:.*\S)?) (HTTP/\d\.\d)")
_STATUS_LINE = re.compile(rb"HTTP/\d\.\d (\d{3})(?: (.*))?")


class HeadError(ValueError):
    """A message head that no reader could agree upon; its text says why."""


class Headers:
    """The header fields of one message, looked up by lower-case name.

    `block` holds the fields as received, each preceded by CRLF (the end of the start
    line belongs to the first): b"\\r\\nHost: a.example\\r\\nAccept: */*\\r\\n\\r\\n".
    """

    __slots__ = ("_lower", "block")

    def __init__(self, block: bytes) -> None:
        self.block = block
        self._lower: bytes | None = None

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of `name` (lower-case), unfolded and stripped, or None."""
        lower = self._lower
        if lower is None:
            lower = self._lower = self.block.lower()
        at = lower.find(b"\r\n" + name + b":")
        return None if at < 0 else self._value(at + len(name) + 3)

    def get_all(self, name: bytes) -> list[bytes]:
        """Return every value of `name` (lower-case) in order."""
        lower = self._lower
        if lower is None:
            lower = self._lower = self.block.lower()
        needle = b"\r\n" + name + b":"
        values = []
        at = lower.find(needle)
        while at >= 0:
            values.append(self._value(at + len(needle)))
            at = lower.find(needle, at + 2)
        return values

    def text(self, name: bytes) -> str | None:
        """Return the first value of `name` as latin-1 text, which loses no byte."""
        value = self.get(name)
        return None if value is None else value.decode("latin-1")

    def __contains__(self, name: bytes) -> bool:
        return self.get(name) is not None

    def items(self) -> list[tuple[bytes, bytes]]:
        """Return (name as sent, value) for every field, in order."""
        pairs: list[tuple[bytes, bytes]] = []
        for line in self.block.split(CRLF):
            if line[:1] in {b" ", b"\t"} and pairs:
                pairs[-1] = (pairs[-1][0], pairs[-1][1] + b" " + line.strip())
                continue
            name, colon, value = line.partition(b":")
            if colon:
                pairs.append((name, value.strip()))
        return pairs

    def _value(self, start: int) -> bytes:
        block = self.block
        end = block.find(CRLF, start)
        while end >= 0 and block[end + 2 : end + 3] in {b" ", b"\t"}:
            end = block.find(CRLF, end + 2)
        value = block[start:] if end < 0 else block[start:end]
        if CRLF in value:
            value = b" ".join(part.strip() for part in value.split(CRLF))
        return value.strip()


class RequestHead:
    """An HTTP request head: `raw` ends in the blank line; method and target are latin-1 text."""

    __slots__ = ("headers", "method", "raw", "target", "version")

    def __init__(self, raw: bytes) -> None:
        """Raise HeadError unless the first line is `method SP target SP HTTP/d.d`."""
        end = raw.find(CRLF)
        parts = raw[:end].split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/") or not parts[1]:  # noqa: PLR2004
            match = _REQUEST_LINE.fullmatch(raw[:end])
            if match is None:
                msg = "the encapsulated request line is not 'method target HTTP/n.n'"
                raise HeadError(msg)
            parts = list(match.groups())
        self.raw = raw
        self.method = parts[0].decode("latin-1")
        self.target = parts[1].decode("latin-1")
        self.version = parts[2].decode("latin-1")
        self.headers = Headers(raw[end:])


class ResponseHead:
    """An HTTP response head: `raw` ends in the blank line; `status` is an int."""

    __slots__ = ("headers", "raw", "reason", "status")

    def __init__(self, raw: bytes) -> None:
        """Raise HeadError unless the first line is a status line."""
        end = raw.find(CRLF)
        match = _STATUS_LINE.fullmatch(raw[:end])
        if match is None:
            msg = "the encapsulated status line is not 'HTTP/n.n status reason'"
            raise HeadError(msg)
        self.raw = raw
        self.status = int(match[1])
        self.reason = (match[2] or b"").decode("latin-1")
        self.headers = Headers(raw[end:])
