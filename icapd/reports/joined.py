"""Records that belong together: a request and its response, a CONNECT and what came in its tunnel.

What carries the same reference is certain. For the rest the log has no common mark, so the nearest record of
the same client, user and URL is taken, and told as probable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from icapd.events.rows import moment_of
from icapd.events.search import host_of

if TYPE_CHECKING:
    from collections.abc import Iterable

Record = dict[str, Any]
BEFORE, AFTER = 900.0, 900.0  # s around a record in which others may belong to it
_RESPONSE = 120.0  # s between a request and the answer to it
_TOGETHER = 1.0  # s that clocks of two workers differ by, at most
_EVENTS = {
    "ticket-unused": "nothing came in the tunnel that was opened",
    "ticket-misused": "the tunnel was used for something else",
}


@dataclass(frozen=True, slots=True)
class Joined:
    """Another record, what it is to the first, and by how many seconds it is later (less than 0: earlier)."""

    record: Record
    what: str
    later: float
    certain: bool


def joined(record: Record, others: Iterable[Record]) -> tuple[Joined, ...]:
    """Return what belongs to `record` among `others`, in the order of time; of each kind the nearest."""
    at = moment_of(record.get("time")) or 0.0
    found: dict[str, Joined] = {}
    for other in others:
        if other == record:
            continue
        moment = moment_of(other.get("time"))
        what, certain = ("", False) if moment is None else _what(record, other, moment - at)
        if moment is None or not what:
            continue
        known = found.get(what)
        if known is None or abs(moment - at) < abs(known.later):
            found[what] = Joined(other, what, moment - at, certain)
    return tuple(sorted(found.values(), key=lambda one: one.later))


def _what(record: Record, other: Record, later: float) -> tuple[str, bool]:
    identity = record.get("id")
    if other.get("event"):
        same = identity is not None and other.get("id") == identity
        return (_EVENTS.get(str(other["event"]), str(other["event"])) if same else ""), True
    if other.get("again") is not None and other["again"] == identity:
        return "the same CONNECT, asked about again", True
    if record.get("again") is not None and record["again"] == other.get("id"):
        return "the CONNECT that this one repeats", True
    if not record.get("client") or any(record.get(name) != other.get(name) for name in ("client", "user")):
        return "", False
    return _nearby(record, other, later), False


def _nearby(record: Record, other: Record, later: float) -> str:
    """Return what a record of the same client is, "" if it is nothing to this one."""
    is_tunnel, other_is = (one.get("method") == "CONNECT" for one in (record, other))
    if is_tunnel is not other_is:
        return _of_tunnel(record, other, later)
    if is_tunnel or record.get("url") != other.get("url"):
        return ""
    points = record.get("point"), other.get("point")
    if points == ("reqmod", "respmod") and -_TOGETHER <= later <= _RESPONSE:
        return "its response"
    if points == ("respmod", "reqmod") and -_RESPONSE <= later <= _TOGETHER:
        return "its request"
    if record.get("late") and 0 < later <= AFTER:
        return "the same, asked for again after the transfer was cut"
    return ""


def _of_tunnel(record: Record, other: Record, later: float) -> str:
    """Return what one of a CONNECT and a request of the same host is to the other."""
    if host_of(str(record.get("url"))) != host_of(str(other.get("url"))):
        return ""
    if record.get("method") == "CONNECT":
        return "the first request in the tunnel" if 0 <= later <= AFTER else ""
    return "the CONNECT of its tunnel" if -BEFORE <= later <= 0 else ""
