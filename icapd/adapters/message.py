"""A message under scan, as one adapter sees it: Xaction. Its content stays readable while anybody reads it.

An adapter that was given up may still sit in a thread, reading. If its descriptors were closed, their numbers
would soon be other files', and it would read those: so they are closed by whoever lets go last.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from icapd.adapters.model import Body
    from icapd.adapters.threads import Threads
    from icapd.content.model import Report, Shape
    from icapd.transaction import Transaction

T = TypeVar("T")
_STEP = 1 << 20


class KeptBody:
    """A body by a descriptor of our own: the server may close its when it waits no more."""

    def __init__(self, body: Body, sha256: str = "") -> None:
        self.size = body.size
        self.key = body.key
        self._sha256 = sha256
        self._fd = os.dup(body.fileno())

    @property
    def sha256(self) -> str:
        """Its digest, made now if inspection did not make it."""
        if not self._sha256:
            found = hashlib.sha256()
            for at in range(0, self.size, _STEP):
                found.update(self.read(at, _STEP))
            self._sha256 = found.hexdigest()
        return self._sha256

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        return os.pread(self._fd, max(0, min(size, self.size - offset)), offset)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)


class Held:
    """A report and its body, and how many use them; the last who lets go closes both."""

    def __init__(self, report: Report, body: Body) -> None:
        self.report = report
        self._given = body
        self._body: KeptBody | None = None
        self._users = 1

    @property
    def body(self) -> KeptBody:
        """The body, kept from the first time it is asked for."""
        if self._body is None:
            self._body = KeptBody(self._given, self.report.sha256)
        return self._body

    def take(self) -> None:
        """Count one more who uses it."""
        self._users += 1

    def release(self) -> None:
        """Count one less."""
        self._users -= 1
        if not self._users:
            self.report.close()
            if self._body is not None:
                self._body.close()


class Task:
    """What one adapter is given."""

    def __init__(self, tx: Transaction, shape: Shape, held: Held, threads: Threads) -> None:
        self.transaction = tx
        self.shape = shape
        self.report = held.report
        self._held = held
        self._threads = threads

    @property
    def body(self) -> KeptBody:
        """The body as it came."""
        return self._held.body

    def in_thread(self, call: Callable[[], T]) -> Deferred[T]:
        """Run blocking work in one of the adapter's threads."""
        self._held.take()
        return self._threads.call(call, self._held.release)
