"""Answers in the one shape that every client accepts.

Reason phrase always; Date, Server, ISTag, Connection, X-…, Encapsulated last, since one client stops
reading there; no folding. ICAP head, HTTP head and a whole body are one string, one write.
"""

from __future__ import annotations

from dataclasses import dataclass

from icapd.protocol.chunked import chunk
from icapd.protocol.errors import LocalProtocolError

CONTINUE = b"ICAP/1.0 100 Continue\r\n\r\n"  # bare: two Go clients compare it byte for byte

REASONS = {
    200: b"OK",
    204: b"No modifications",
    206: b"Partial Content",
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"ICAP Service Not Found",
    405: b"Method Not Allowed For Service",
    408: b"Request Timeout",
    413: b"Request Entity Too Large",
    418: b"Bad Composition",
    500: b"Server Error",
    501: b"Method Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Overloaded",
    505: b"ICAP Version Not Supported",
}


_NAME = "X-Icapd-Decision: "
_NULL_BODY = "Encapsulated: null-body=0\r\n\r\n"


def naming(decision_id: str) -> bytes:
    """Return the header line that tells the id of a decision, for Squid to log (adapt::<last_h)."""
    return f"{_NAME}{decision_id}\r\n".encode()


class Banner:
    """The header lines that all answers share: made once a second, not once an answer.

    `date` is an RFC 1123 date; `istag` at most 32 bytes without its quotes (RFC 3507 §4.7).
    """

    __slots__ = ("_close", "_keep", "_named", "_named_close", "istag", "unmodified", "unmodified_close")

    def __init__(self, *, date: bytes, istag: bytes, server: bytes = b"icapd") -> None:
        lines = b'\r\nDate: %b\r\nServer: %b\r\nISTag: "%b"\r\nConnection: ' % (date, server, istag)
        self.istag = istag
        self._keep = lines + b"keep-alive\r\n"
        self._close = lines + b"close\r\n"
        self.unmodified = Answer(204).render(self, close=False)
        self.unmodified_close = Answer(204).render(self, close=True)
        self._named = self.unmodified.removesuffix(_NULL_BODY.encode()).decode("ascii") + _NAME
        self._named_close = self.unmodified_close.removesuffix(_NULL_BODY.encode()).decode("ascii") + _NAME

    def named(self, decision_id: str, *, close: bool = False) -> bytes:
        """Return the 204 that tells the id of its decision."""
        return f"{self._named_close if close else self._named}{decision_id}\r\n{_NULL_BODY}".encode()

    def lines(self, *, close: bool) -> bytes:
        """Return the shared lines, from the CRLF that ends the status line to that of Connection."""
        return self._close if close else self._keep


@dataclass(frozen=True, slots=True)
class Answer:
    """One ICAP answer.

    `entity` is b"res" or b"req": which head `head` is. `body`: None for null-body, bytes for a body
    sent whole; `streams` for one that follows piece by piece. `extra` are ICAP header lines, each
    ended by CRLF, already free of CR and LF inside.
    """

    status: int
    head: bytes | None = None
    entity: bytes = b"res"
    body: bytes | None = None
    streams: bool = False
    extra: bytes = b""

    def render(self, banner: Banner, *, close: bool) -> bytes:
        """Return the bytes of the answer, up to the body that follows if it `streams`.

        Raises LocalProtocolError for a status or a shape that no answer has.
        """
        head = self.head
        has_body = self.streams or self.body is not None
        if self.status not in REASONS or (self.streams and self.body is not None):
            raise LocalProtocolError("no final answer has this status, or a body both whole and to come")
        if self.status == 204 and (has_body or head is not None):  # noqa: PLR2004
            raise LocalProtocolError("204 encapsulates nothing")
        if self.status == 206 and not self.streams:  # noqa: PLR2004
            raise LocalProtocolError("206 has a body that ends in use-original-body")
        if has_body:
            offset = b"%b-body=%d" % (self.entity, 0 if head is None else len(head))
        else:
            offset = b"null-body=%d" % (0 if head is None else len(head))
        return b"".join(
            (
                b"ICAP/1.0 %d " % self.status,
                REASONS[self.status],
                banner.lines(close=close),
                self.extra,
                b"Encapsulated: ",
                b"" if head is None else self.entity + b"-hdr=0, ",
                offset,
                b"\r\n\r\n",
                head or b"",
                b"" if self.body is None else chunk(self.body) + b"0\r\n\r\n",
            )
        )
