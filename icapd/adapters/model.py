"""What an adapter is (libecap's adapter::Service, in process), and what it is given to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from icapd.content.model import Report, Shape
    from icapd.transaction import Transaction
    from icapd.verdicts import Verdict

_T = TypeVar("_T")


class Body(Protocol):
    """A body that has come whole: the server's spool, or a file."""

    size: int

    @property
    def key(self) -> str:
        """What no other content has, for as long as this process lives; of any form."""
        ...

    @property
    def sha256(self) -> str:
        """Lower-case hex, of the bytes as they came; it may be made only when it is asked for."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        ...

    def fileno(self) -> int:
        """Return a descriptor whose content from offset 0 is the body; use pread, the offset is shared."""
        ...


class Xaction(Protocol):
    """One message under scan (libecap's host::Xaction)."""

    @property
    def transaction(self) -> Transaction:
        """The heads, and who asks."""
        ...

    @property
    def shape(self) -> Shape:
        """What the heads say of the body."""
        ...

    @property
    def body(self) -> Body:
        """The body as it came."""
        ...

    @property
    def report(self) -> Report:
        """What inspection found; its items are what to scan. Open until scan and threads have ended."""
        ...

    def in_thread(self, call: Callable[[], _T]) -> Awaitable[_T]:
        """Run blocking work off the reactor, in one of a few threads that the adapter has to itself."""
        ...


@dataclass(frozen=True, slots=True)
class State:
    """How a scanner is, for the metrics: an adapter may have a method `state` that returns one.

    `why` says why it is not up; `database` is when its signatures were made, in seconds of the epoch.
    """

    up: bool = True
    why: str = ""
    version: str = ""
    database: float | None = None


class Adapter(Protocol):
    """Looks at messages and says what it found. One instance per entry of `adapters:` in icapd.yaml.

    Life: `__init__(name, options)` (options from YAML; raises AdapterError for bad ones) → `start` → any
    number of `scan`, several at once → `stop`. A reload makes new instances and stops the old ones when
    their last scan has ended.
    """

    name: str
    tag: str
    """Engine and database version, "" while unknown; part of the ISTag and of verdict cache keys."""

    def wants(self, tx: Transaction) -> bool:
        """Whether it has anything to say about this message; asked from the heads alone."""
        ...

    async def start(self) -> None:
        """Make ready. Raises AdapterError when it can never work (wrong options), not when it cannot now."""

    async def stop(self) -> None:
        """Let go of everything."""

    async def scan(self, xaction: Xaction) -> Verdict:
        """Look at a message. An exception is taken as an error verdict."""
        ...


class AdapterFactory(Protocol):
    """What an entry point of the group `icapd.adapters` names: a class, as a rule."""

    def __call__(self, name: str, options: Mapping[str, object], /) -> Adapter:
        """Make an instance. Raises AdapterError for options it cannot take."""
        ...
