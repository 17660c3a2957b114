"""What reached the origins, in order: the proof that a denied request went nowhere."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accepted:
    """A TCP connection was accepted; `peer` is the port it came from."""

    scheme: str
    peer: int


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """A TLS ClientHello was read; `sni` is the name it asked for."""

    sni: str | None


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A whole request was read. `body` is its content without framing, `trailers` what followed it."""

    scheme: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    trailers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str:
        """Return the first value of header `name`, whatever its case, or ""."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


Contact = Accepted | HelloReceived | RequestReceived


class Contacts:
    """The shared, append-only record of both origins. Threads of the origins write, anyone reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: list[Contact] = []
        self.faults: list[str] = []

    def add(self, contact: Contact) -> None:
        """Append one contact."""
        with self._lock:
            self._all.append(contact)

    def mark(self) -> int:
        """Return a place in the record for `since`."""
        return len(self._all)

    def since(self, mark: int) -> tuple[Contact, ...]:
        """Return all contacts made after `mark`, oldest first."""
        return tuple(self._all[mark:])

    def requests(self, mark: int) -> tuple[RequestReceived, ...]:
        """Return the whole requests among those made after `mark`."""
        return tuple(c for c in self.since(mark) if isinstance(c, RequestReceived))
