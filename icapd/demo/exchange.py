"""One request through the lab, and every trace of it: at the client, in icapd's log, at the origins."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from icapd.demo.client import curl
from icapd.demo.contacts import Accepted, RequestReceived
from icapd.demo.plan import BUMP, ORIGIN, PLAIN

if TYPE_CHECKING:
    from icapd.demo.client import Seen
    from icapd.demo.contacts import Contact
    from icapd.demo.decisions import Record
    from icapd.demo.lab import Lab

_SETTLE = 0.05  # s left to a connection that should not come
_LOGGED = 1.0  # s within which icapd writes a decision: it gathers lines for half a second
_PATIENCE = 3.0  # s at most for a decision that must come
_MAKERS = (".com", ".net", ".org", ".goog")  # the labs' own names end in .test


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came of one request. `contacts` are complete; decision lines may still be on their way.

    `mark` is a place in the decision log before it, `started` and `ended` when curl did.
    """

    url: str
    seen: Seen
    contacts: tuple[Contact, ...]
    lab: Lab
    mark: int
    started: datetime
    ended: float

    @property
    def connections(self) -> int:
        """How many TCP connections the origins accepted."""
        return sum(isinstance(contact, Accepted) for contact in self.contacts)

    @property
    def requests(self) -> tuple[RequestReceived, ...]:
        """The requests the origins read."""
        return tuple(contact for contact in self.contacts if isinstance(contact, RequestReceived))

    def logged(self, point: str = "reqmod", method: str = "") -> list[Record]:
        """Return the decisions logged so far on this request, at `point`, on `method` ("": on any)."""
        return [
            record
            for record in self.lab.decisions.since(self.mark)
            if record.time >= self.started
            and record.point == point
            and method in ("", record.method)
            and not _is_foreign(record.url)
        ]

    def records(self, point: str = "reqmod", method: str = "") -> list[Record]:
        """Return all such decisions: waits as long as a line may take to be written."""
        time.sleep(max(0.0, self.ended + _LOGGED - time.monotonic()))
        return self.logged(point, method)

    def record(self, point: str = "reqmod", method: str = "") -> Record:
        """Return the last such decision as soon as there is one. Raises LookupError if none comes."""
        while not (found := self.logged(point, method)):
            if time.monotonic() > self.ended + _PATIENCE:
                msg = f"icapd has logged no decision at {point} on {method or 'anything'} for {self.url}"
                raise LookupError(msg)
            time.sleep(_SETTLE)
        return found[-1]


def _is_foreign(url: str) -> bool:
    """Whether it is of no site of a lab: a browser that was here may still ask for its maker's."""
    host = url.partition("://")[2] or url
    host = host.partition("/")[0].rpartition(":")[0] or host.partition("/")[0]
    return host.endswith(_MAKERS)


@dataclass(frozen=True, slots=True)
class Fetch:
    """A client of the lab's Squid."""

    lab: Lab

    def __call__(self, url: str, *options: str, port: str = BUMP, trust: str = "") -> Exchange:
        """Send one request by curl through Squid's `port`, trusting one CA, and let the dust settle.

        `url` and curl's `options` may hold $http and $https; `trust` is the CA that the port serves under
        unless given. Raises IcapdError if there is no curl.
        """
        lab = self.lab
        url = lab.site.fill(url)
        contacts, decisions = lab.contacts.mark(), lab.decisions.mark()
        now = datetime.now(UTC)
        started = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as exact as the log
        trusted = lab.site.authority(trust or (ORIGIN if port == PLAIN else BUMP))
        filled = [lab.site.fill(option) for option in options]
        seen = curl(url, proxy=lab.site.proxy(port), trust=trusted, options=filled)
        ended = time.monotonic()
        time.sleep(_SETTLE)
        return Exchange(url, seen, lab.contacts.since(contacts), lab, decisions, started, ended)
