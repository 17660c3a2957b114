"""Which records of the decision log are asked for, and how they are shown to people and to spreadsheets."""

from __future__ import annotations

import csv
import io
import ipaddress
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from icapd.events.formats import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.events.formats import Record

_PORT = re.compile(r":\d+$")
_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take for a formula
COLUMNS = ("time", "id", "client", "user", "method", "url", "action", "stage", "rule", "category", "threat")
_WIDTHS = {"time": 24, "client": 15, "user": 12, "method": 7, "action": 8, "rule": 24}


def read_moment(text: str, now: datetime) -> datetime:
    """Return the time that "2026-11-24T10:00", "90m", "24h" or "7d" (ago) says. Raises ValueError."""
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text.strip())
        return found if found.tzinfo else found.astimezone()
    except (ValueError, OverflowError):  # the latter for years that no calendar here has
        raise ValueError(f"{text!r} is no time such as 2026-11-24T10:00, 90m, 24h or 7d (ago)") from None


@dataclass(frozen=True, slots=True)
class Search:
    """What a record must have; None asks nothing. Texts are compared in any case, `host` with subdomains.

    `client` is an address or a network, `rule` and `threat` are parts of the text.
    """

    since: datetime | None = None
    until: datetime | None = None
    client: str | None = None
    user: str | None = None
    host: str | None = None
    rule: str | None = None
    action: str | None = None
    threat: str | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a client that is neither address nor network."""
        if self.client is not None:
            ipaddress.ip_network(self.client, strict=False)

    def finds(self, record: Record) -> bool:
        """Whether a record has all that is asked for."""
        return (
            self._in_time(record)
            and (self.id is None or record.get("id") == self.id)
            and is_same(self.action, record.get("action") or record.get("event"))
            and is_same(self.user, record.get("user"))
            and is_part(self.rule, record.get("rule"))
            and is_part(self.threat, record.get("threat"))
            and (self.client is None or is_within(self.client, record.get("client")))
            and (self.host is None or _is_of(self.host, str(record.get("url") or record.get("host") or "")))
        )

    def _in_time(self, record: Record) -> bool:
        if self.since is None and self.until is None:
            return True
        try:
            time = datetime.fromisoformat(str(record.get("time")))
        except ValueError:
            return False
        return (self.since is None or time >= self.since) and (self.until is None or time < self.until)


def is_same(wanted: str | None, found: object) -> bool:
    """Whether a value is the wanted one, in any case."""
    return wanted is None or str(found or "").casefold() == wanted.casefold()


def is_part(wanted: str | None, found: object) -> bool:
    """Whether a value holds the wanted text, in any case."""
    return wanted is None or wanted.casefold() in str(found or "").casefold()


def is_within(network: str, found: object) -> bool:
    """Whether a value is an address of the network."""
    try:
        return ipaddress.ip_address(str(found)) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def host_of(url: str) -> str:
    """Return the host of a URL, without port, in lower case; "" for none."""
    authority = (url.partition("://")[2] or url).partition("/")[0].rpartition("@")[2]
    if ":" in authority:
        authority = _PORT.sub("", authority)
    return authority.casefold().rstrip(".")


def _is_of(host: str, url: str) -> bool:
    name = host_of(url)
    host = host.casefold().rstrip(".")
    return name == host or name.endswith("." + host)


def read_records(lines: Iterator[bytes]) -> Iterator[Record | None]:
    """Yield the record of each line, None for a line that is none (torn by a full disk, say)."""
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        yield value if isinstance(value, dict) and "time" in value else None


def as_table(record: Record) -> str:
    """Return one line for people: what is not printable is spelled out, long values are cut."""
    cells = [_cell(name, record) for name in ("time", "client", "user", "action", "method")]
    why = record.get("threat") or record.get("rule") or record.get("category") or ""
    return "  ".join([*cells, plain(record.get("url") or ""), f"({plain(why)})" if why else ""]).rstrip()


def _cell(name: str, record: Record) -> str:
    value = record.get(name)
    if name == "action":
        value = value or record.get("event")
    width = _WIDTHS[name]
    text = "-" if value is None else plain(value)
    return (text if len(text) <= width else text[: width - 1] + "…").ljust(width)


def as_csv(record: Record) -> str:
    """Return COLUMNS of a record as one CSV line, RFC 4180; nothing in it is a formula to a spreadsheet."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(_harmless(record.get(name)) for name in COLUMNS)
    return out.getvalue()


def _harmless(value: object) -> str:
    text = "" if value is None else plain(value)
    return "'" + text if text.startswith(_FORMULA) else text
