"""The chunked coding of encapsulated bodies: read strictly, passed on verbatim.

A reader keeps no more than one incomplete chunk line or trailer; chunk sizes are compared, never
allocated. Source: RFC 3507 §4.4.2, §4.5 (ieof); RFC 2616 §3.6.1; errata e2, e8; 206's
use-original-body from the partial-content extension as Squid and c-icap speak it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.protocol.abnf import (
    CHUNK_LINE,
    EXTENSION,
    FIELDS,
    MAX_CHUNK,
    MAX_CHUNK_LINE,
    MAX_TRAILER,
)
from icapd.protocol.errors import RemoteProtocolError
from icapd.protocol.events import BodyEnded, DataReceived

if TYPE_CHECKING:
    import re

_CRLF = b"\r\n"


class ChunkReader:
    """Reads one body. `read` is called with everything unread so far and says how much it took."""

    __slots__ = ("_end", "_left", "_owes_crlf", "total")

    def __init__(self) -> None:
        self._left = 0  # payload bytes still to come in the chunk at hand
        self._owes_crlf = False  # the CRLF behind a chunk's payload is still to come
        self._end: BodyEnded | None = None  # last-chunk seen, its trailer not yet
        self.total = 0  # payload bytes so far

    @property
    def awaits_trailer(self) -> bool:
        """Whether only the trailer's CRLF is missing, which one Go client never sends (facts/icap.md §2)."""
        return self._end is not None

    def end_now(self) -> BodyEnded:
        """Take the body as ended although the CRLF behind the last-chunk never came."""
        if self._end is None:
            raise RemoteProtocolError(400, "the body ended inside a chunk")
        return self._end

    def read(self, data: bytes, at: int) -> tuple[DataReceived | BodyEnded | None, int]:
        """Read from data[at:]; return an event, or None when more is needed, and the new position.

        One DataReceived covers as many chunks as `data` holds. Raises RemoteProtocolError(400), (413).
        """
        if self._end is not None:
            return self._read_trailer(data, at)
        wire: list[bytes] = []
        spans: list[tuple[int, int]] = []
        base = 0  # length of what `wire` holds already
        start = at  # where the verbatim run at hand begins
        size = len(data)
        while True:
            if self._left:
                take = min(self._left, size - at)
                if not take:
                    break
                spans.append((base + at - start, base + at - start + take))
                at += take
                self._left -= take
                self.total += take
                if self._left:
                    break
                self._owes_crlf = True
            if self._owes_crlf:
                if size - at < 2:  # noqa: PLR2004
                    break
                if data[at : at + 2] != _CRLF:
                    raise RemoteProtocolError(400, "chunk data is not ended by CRLF")
                at += 2
                self._owes_crlf = False
            line = _chunk_line(data, at)
            if line is None:
                break
            match, end = line
            chunk = int(match[1], 16)
            if chunk > MAX_CHUNK:
                raise RemoteProtocolError(413, "a chunk larger than any body")
            if chunk == 0:
                if base or at > start:
                    break  # the data first; the last-chunk is the next call's
                self._end = _last_chunk(match[2])
                return self._read_trailer(data, end)
            if match[2] or end - at != len(match[1]) + 2:  # extensions are hop-by-hop: write the line anew
                wire += (data[start:at], b"%x\r\n" % chunk)
                base += at - start + len(wire[-1])
                start = end
            self._left = chunk
            at = end
        if at == start and not wire:
            return None, at
        run = data[start:at]
        if wire:
            wire.append(run)
            run = b"".join(wire)
        return DataReceived(run, tuple(spans)), at

    def _read_trailer(self, data: bytes, at: int) -> tuple[BodyEnded | None, int]:
        end = at if data.startswith(_CRLF, at) else data.find(b"\r\n\r\n", at, at + MAX_TRAILER + 4)
        if end < 0:
            if len(data) - at > MAX_TRAILER:
                raise RemoteProtocolError(400, "a trailer larger than the limit")
            return None, at
        last = self._end
        assert last is not None  # noqa: S101  # set by the only caller
        if end == at:
            return last, at + 2
        trailer = data[at : end + 2]
        if FIELDS.fullmatch(_CRLF + trailer[:-2]) is None:
            raise RemoteProtocolError(400, "a trailer that is not header fields")
        return BodyEnded(trailer, last.ieof, last.original_from), end + 4


def _chunk_line(data: bytes, at: int) -> tuple[re.Match[bytes], int] | None:
    """Match the chunk line at data[at:], or None when its CRLF has not come; second is the position behind it."""
    end = data.find(_CRLF, at, at + MAX_CHUNK_LINE)
    if end < 0:
        rest = data[at : at + MAX_CHUNK_LINE + 1]
        if len(rest) > MAX_CHUNK_LINE:
            raise RemoteProtocolError(400, "a chunk line longer than the limit")
        if rest and CHUNK_LINE.fullmatch(rest[:-1] if rest.endswith(b"\r") else rest) is None:
            raise RemoteProtocolError(400, "a chunk size that is not a hexadecimal number")
        return None
    match = CHUNK_LINE.fullmatch(data, at, end)
    if match is None:
        raise RemoteProtocolError(400, "a chunk size that is not a hexadecimal number")
    return match, end + 2


def _last_chunk(extensions: bytes) -> BodyEnded:
    if not extensions:
        return _PLAIN_END
    ieof, original = False, None
    for name, value in EXTENSION.findall(extensions):
        if name.lower() == b"ieof" and not value:
            ieof = True
        elif name.lower() == b"use-original-body" and value.isdigit() and len(value) < 20:  # noqa: PLR2004
            original = int(value)
    return BodyEnded(b"", ieof, original)


_PLAIN_END = BodyEnded()


def last_chunk(trailer: bytes = b"", *, ieof: bool = False, original_from: int | None = None) -> bytes:
    """Write a last-chunk: b"0\\r\\n\\r\\n", with ieof or use-original-body=N where asked."""
    extension = b"; ieof" if ieof else b""
    if original_from is not None:
        extension = b"; use-original-body=%d" % original_from
    return b"0" + extension + _CRLF + trailer + _CRLF


def chunk(payload: bytes) -> bytes:
    """Write one chunk; nothing for no bytes, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
