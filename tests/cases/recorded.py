"""The ICAP requests a real Squid 5.7 sent, as values, and their replay against a server.

squid-5.7.zip holds one request a file, the body sent after 100 Continue included;
squid-5.7.md tells which squid.conf caused each.
"""

from __future__ import annotations

import re
import socket
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cases.icap_cases import Bad, Resp, fields, parse_chunks, parse_response

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHIVE = Path(__file__).with_name("squid-5.7.zip")
_TIMEOUT = 5.0  # s to wait for an answer
_VIA = re.compile(rb"(?im)^Via: (.*, )?(ICAP/)?1\.0 [^\r\n]*\r\n")
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request: its ICAP head, encapsulated heads, the chunks sent at once, and those after 100."""

    name: str
    head: bytes
    http_heads: bytes
    first: bytes
    rest: bytes
    body: bytes | None
    message_at: int

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @property
    def has_preview(self) -> bool:
        return re.search(rb"(?im)^Preview:", self.head) is not None

    @property
    def allow(self) -> set[str]:
        found = re.search(rb"(?im)^Allow:([^\r\n]*)", self.head)
        return {item.strip() for item in found[1].decode().split(",")} if found else set()

    @property
    def message_head(self) -> bytes:
        """The HTTP head that adaptation may change: the last of the encapsulated ones."""
        return self.http_heads[self.message_at :]

    @property
    def asks_close(self) -> bool:
        return re.search(rb"(?im)^Connection:[^\r\n]*close", self.head) is not None

    def without_offers(self) -> Recorded:
        """Return the same request with neither preview nor Allow: the answer must hold the whole message."""
        head = re.sub(rb"(?im)^(Preview|Allow):[^\r\n]*\r\n", b"", self.head)
        chunks = b""
        if self.body is not None:
            chunks = (b"%x\r\n%s\r\n" % (len(self.body), self.body) if self.body else b"") + _LAST_CHUNK
        return Recorded(self.name, head, self.http_heads, chunks, b"", self.body, self.message_at)


def _parse(name: str, data: bytes) -> Recorded:
    end = data.index(b"\r\n\r\n") + 4
    head, rest = data[:end], data[end:]
    encapsulated = dict(fields(head[head.index(b"\r\n") + 2 : -4])).get("encapsulated", "null-body=0")
    entities = [(item.split("=")[0].strip(), int(item.split("=")[1])) for item in encapsulated.split(",")]
    kind, offset = entities[-1]
    http_heads, chunks = rest[:offset], rest[offset:]
    message_at = entities[-2][1] if len(entities) > 1 else 0
    if kind == "null-body":
        assert not chunks
        return Recorded(name, head, http_heads, b"", b"", None, message_at)
    body, used = _read_body(chunks)
    first, after = chunks[:used], chunks[used:]
    if after:
        more, used = _read_body(after)
        assert used == len(after)
        body += more
    return Recorded(name, head, http_heads, first, after, body, message_at)


def _read_body(chunks: bytes) -> tuple[bytes, int]:
    found = parse_chunks(chunks, 0)
    assert found is not None
    return found[0], found[3]


def recorded_requests() -> Iterator[Recorded]:
    """Yield every request of the archive, in the order of the recording."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        for name in sorted(archive.namelist()):
            yield _parse(name, archive.read(name))


class Connection:
    """A blocking ICAP connection that judges what it is answered."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = bytearray()

    def close(self) -> None:
        self._socket.close()

    def _answer(self, method: str) -> Resp:
        while (found := parse_response(self._data, 0, method)) is None:
            received = self._socket.recv(262144)
            if not received:
                msg = "closed before the answer was whole"
                raise Bad(msg)
            self._data += received
        answer, end = found
        del self._data[:end]
        return answer

    def in_sync(self) -> list[str]:
        """Ask OPTIONS; return the faults: bytes left over, or anything but one 200."""
        if self._data:
            return [f"bytes after the answer: {bytes(self._data[:60])!r}"]
        self._socket.sendall(b"OPTIONS icap://127.0.0.1/reqmod ICAP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        status = self._answer("OPTIONS").status
        return [] if status == 200 else [f"OPTIONS on the same connection is answered {status}"]

    def at_end(self) -> bool:
        """Whether the server closes within the time-out without another byte."""
        try:
            return not self._data and self._socket.recv(1) == b""
        except TimeoutError:
            return False

    def ask(self, request: Recorded, step: int = 0) -> tuple[list[str], Resp]:
        """Send one request as a client would, `step` bytes a segment; return the faults and the answer."""
        sent = request.head + request.http_heads + request.first
        for start in range(0, len(sent), step or len(sent)):
            self._socket.sendall(sent[start : start + (step or len(sent))])
        answer = self._answer(request.method)
        continued = answer.status == 100
        if continued:
            if not request.has_preview or not request.first or b"; ieof" in request.first:
                return ["100 Continue without a preview that asks for it"], answer
            self._socket.sendall(request.rest or _LAST_CHUNK)
            answer = self._answer(request.method)
        return list(faults(request, answer, continued=continued)), answer


def faults(request: Recorded, answer: Resp, *, continued: bool) -> Iterator[str]:
    """Yield what is wrong with an answer that ought to leave the message as it is.

    `continued`: whether 100 Continue came before it.
    """
    allow = request.allow
    status = answer.status
    in_preview = request.has_preview and not continued
    if request.method != "OPTIONS" and not answer.get("istag"):
        yield "no ISTag"
    if status == 204 and "204" not in allow and not in_preview:
        yield "204 though neither Allow nor a preview permits it"
    elif status == 206 and not ("206" in allow and (in_preview or "204" in allow)):
        yield "206 though it was not offered"
    elif status not in ({200} if request.method == "OPTIONS" else {200, 204, 206}):
        yield f"answered {status}"
    elif status != 204 and request.method != "OPTIONS":
        yield from _changes(request, answer)


def _changes(request: Recorded, answer: Resp) -> Iterator[str]:
    head, adapted, body = answer.http_head or b"", answer.body or b"", request.body or b""
    if _VIA.sub(b"", head) != _VIA.sub(b"", request.message_head):
        yield f"head changed: {head!r}"
    if answer.uob is not None:
        adapted += body[answer.uob :]
    if adapted != body:
        yield f"body changed: {len(adapted)} bytes of {len(body)}"
    if (request.body is None) != (answer.enc[-1][0] == "null-body"):
        yield f"entity changed: {answer.enc[-1][0]}"
