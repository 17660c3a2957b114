"""The chunked coding of encapsulated bodies: read strictly, passed on verbatim.

A reader keeps no more than one incomplete chunk line or trailer; chunk sizes are compared, never
allocated. Source: RFC 3507 §4.4.2, §4.5 (ieof); RFC 2616 §3.6.1; errata e2, e8; 206's
use-original-body from the partial-content extension as Squid and c-icap speak it.
"""

from __future__ import annotations

import re

from icapd.protocol.abnf import (
    CHUNK_LINE,
    EXTENSION,
    FIELD,
    FOLD,
    MAX_CHUNK,
    MAX_CHUNK_LINE,
    MAX_TRAILER,
)
from icapd.protocol.errors import RemoteProtocolError
from icapd.protocol.events import BodyEnded, DataReceived

_CRLF = b"\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_PLAIN_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")


class _Run:
    """The part of one read that becomes a DataReceived: `data` from `start` on, after rewritten `pieces`."""

    __slots__ = ("at", "data", "last_chunk", "length", "pieces", "spans", "start")

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = self.start = at
        self.pieces: list[bytes] = []
        self.length = 0  # of the pieces
        self.spans: list[tuple[int, int]] = []
        self.last_chunk: BodyEnded | None = None

    @property
    def is_empty(self) -> bool:
        return self.at == self.start and not self.pieces

    def take(self, count: int) -> None:
        """Add `count` bytes of payload."""
        begin = self.length + self.at - self.start
        self.spans.append((begin, begin + count))
        self.at += count

    def rewrite_line(self, chunk_size: int, end: int) -> None:
        """Write a chunk line anew without its extensions, which are hop-by-hop; it ends at `end`."""
        line = b"%x\r\n" % chunk_size
        self.pieces += (self.data[self.start : self.at], line)
        self.length += self.at - self.start + len(line)
        self.at = self.start = end

    def event(self) -> DataReceived:
        wire = self.data[self.start : self.at]
        if self.pieces:
            wire = b"".join((*self.pieces, wire))
        return DataReceived(wire, tuple(self.spans))


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
        """Whether only the trailer's CRLF is missing, which one Go client never sends."""
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
        if at == len(data):
            return None, at
        if self._end is not None:
            return self._read_trailer(data, at)
        run = _Run(data, at)
        while self._read_payload(run):
            self._read_plain(run)
            if not self._read_line(run):
                break
        if not run.is_empty:
            return run.event(), run.at
        return (None, at) if run.last_chunk is None else self._read_trailer(data, run.at)

    def skim(self, data: bytes, at: int) -> bool | None:
        """Read all of data[at:], if it can be passed on as it is; return whether it ends the body.

        None, and nothing is read, if it holds an extension, a trailer, half a chunk line, or more than
        the body.
        """
        if self._end is not None or self._owes_crlf:
            return None
        left, total, size = self._left, self.total, len(data)
        ended = False
        while not ended:
            if left:
                end = at + left
                if end >= size:
                    total += size - at
                    left = end - size
                    self._owes_crlf = not left
                    break
                if data[end : end + 2] != _CRLF:
                    return None
                total += left
                at = end + 2
                left = 0
            if at == size:
                break
            line = _PLAIN_LINE.match(data, at)
            if line is None:
                return None
            left = int(line[1], 16)
            ended = not left
            if ended and data[at:] != _LAST_CHUNK:
                return None
            at = line.end()
        self._left, self.total = left, total
        return ended

    def _read_plain(self, run: _Run) -> None:
        """Read what is most of any body, whole chunks without extensions; what follows may be anything."""
        data, at, spans = run.data, run.at, run.spans
        shift = run.length - run.start
        while (line := _PLAIN_LINE.match(data, at)) is not None:
            begin = line.end()
            size = int(line[1], 16)
            end = begin + size
            if not size or data[end : end + 2] != _CRLF:
                break
            spans.append((begin + shift, end + shift))
            self.total += size
            at = end + 2
        run.at = at

    def _read_payload(self, run: _Run) -> bool:
        """Read the rest of the chunk at hand and its CRLF; False when `run.data` ends before."""
        data = run.data
        if self._left:
            count = min(self._left, len(data) - run.at)
            if count:
                run.take(count)
                self._left -= count
                self.total += count
            if self._left:
                return False
            self._owes_crlf = True
        if self._owes_crlf:
            following = data[run.at : run.at + 2]
            if following != _CRLF:
                if _CRLF.startswith(following):
                    return False
                if run.is_empty:
                    raise RemoteProtocolError(400, "chunk data is not ended by CRLF")
                return False  # the data first, however the bytes were cut; the fault in the next read
            run.at += 2
            self._owes_crlf = False
        return True

    def _read_line(self, run: _Run) -> bool:
        """Read a chunk line; False when it has not come, or is the last-chunk's, which ends the run."""
        try:
            line = _chunk_line(run.data, run.at)
        except RemoteProtocolError:
            if run.is_empty:
                raise
            return False  # the data first, as above
        if line is None:
            return False
        match, end = line
        size = int(match[1], 16)
        if size == 0:
            if run.is_empty:  # otherwise the data first, and the last-chunk in the next read
                self._end = run.last_chunk = _last_chunk(match[2])
                run.at = run.start = end
            return False
        if end - run.at == len(match[1]) + len(_CRLF):
            run.at = end
        else:
            run.rewrite_line(size, end)
        self._left = size
        return True

    def _read_trailer(self, data: bytes, at: int) -> tuple[BodyEnded | None, int]:
        end = at if data.startswith(_CRLF, at) else data.find(b"\r\n\r\n", at, at + MAX_TRAILER + 4)
        if end < 0:
            if len(data) - at - 3 > MAX_TRAILER:  # its blank line may be there but for one byte
                raise RemoteProtocolError(400, "a trailer larger than the limit")
            return None, at
        last = self._end
        assert last is not None  # noqa: S101  # set by the only caller
        if end == at:
            return last, at + 2
        trailer = data[at : end + 2]
        if not is_trailer(trailer):
            raise RemoteProtocolError(400, "a trailer that is not header fields")
        return BodyEnded(trailer, last.ieof, last.original_from), end + 4


def is_trailer(trailer: bytes) -> bool:
    """Whether `trailer` is fields, each ended by CRLF, and so cannot end the body early or extend it."""
    first, *lines = trailer.split(_CRLF)
    if FIELD.fullmatch(first) is None or not lines or lines.pop():
        return False
    return all(FIELD.fullmatch(line) or FOLD.fullmatch(line) for line in lines)


def _chunk_line(data: bytes, at: int) -> tuple[re.Match[bytes], int] | None:
    """Match the chunk line at data[at:] and say where it ends, or None when its CRLF has not come."""
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
    if len(match[1]) == 16 and int(match[1], 16) > MAX_CHUNK:  # noqa: PLR2004  # 15 digits cannot reach it
        raise RemoteProtocolError(413, "a chunk larger than any body")
    return match, end + 2


def _last_chunk(extensions: bytes) -> BodyEnded:
    if not extensions:
        return _PLAIN_END
    ieof, original, at = False, None, 0
    while at < len(extensions):
        match = EXTENSION.match(extensions, at)
        if match is None:  # whether it says ieof must not depend on the reader
            raise RemoteProtocolError(400, "extensions of the last-chunk that are not 'name=value'")
        name, value, at = match[1].lower(), match[2], match.end()
        if name == b"ieof" and value is None:
            ieof = True
        elif name == b"use-original-body" and value and value.isdigit() and len(value) < 20:  # noqa: PLR2004
            original = int(value)
    return BodyEnded(b"", ieof, original)


_PLAIN_END = BodyEnded()


def last_chunk(trailer: bytes = b"", *, ieof: bool = False, original_from: int | None = None) -> bytes:
    """Write a last-chunk with its trailer, and ieof or use-original-body=N where asked."""
    extension = b"; ieof" if ieof else b""
    if original_from is not None:
        extension = b"; use-original-body=%d" % original_from
    return b"0" + extension + _CRLF + trailer + _CRLF


def chunk(payload: bytes) -> bytes:
    """Write one chunk; nothing for no bytes, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
