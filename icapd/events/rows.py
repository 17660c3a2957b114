"""Records as rows of the store, and back: what the columns say is not said again in JSON.

A row's `json` is null if the columns say all, the rest of the record if they say the most, or, for anything
that is not a plain decision, the whole record, which has a "time".
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

from icapd.events.search import host_of

if TYPE_CHECKING:
    from icapd.events.formats import Record

COLUMNS = (
    "time", "source", "seq", "id", "event", "point", "method", "host", "url", "client", "user", "action",
    "stage", "rule", "category", "threat", "status", "policy", "json",
)  # fmt: skip
Row = tuple[object, ...]

_TEXTS = ("id", "point", "url", "action", "stage")  # of every decision
_PERHAPS = ("method", "client", "user", "rule", "category")  # of every decision, null for none
_REQUIRED = frozenset({"time", *_TEXTS, *_PERHAPS, "source", "status"})
_OPTIONAL = frozenset({"seq", "threat"})  # in the record only if there is one
_INTEGERS = range(-(2**63), 2**63)
_SECOND = 19  # characters of a time up to its second
_MOMENT = 24
_dumps = json.JSONEncoder(separators=(",", ":")).encode


class Moments:
    """Times as texts and as seconds: the part above the second is worked out once a second."""

    def __init__(self) -> None:
        self._text = ""
        self._second = 0

    def plain(self, text: object) -> float | None:
        """Return the s since 1970 of a time as the log writes it, to the ms; None for any other."""
        if type(text) is not str or len(text) != _MOMENT or text[_SECOND] != "." or text[-1] != "Z":
            return None
        if text[:_SECOND] != self._text:
            try:
                second = int(dt.datetime.fromisoformat(text[:_SECOND] + "+00:00").timestamp())
            except ValueError:
                return None
            if _written(second) != text[:_SECOND]:
                return None
            self._text, self._second = text[:_SECOND], second
        part = text[_SECOND + 1 : -1]
        return self._second + int(part) / 1000 if part.isascii() and part.isdigit() else None

    def text(self, moment: float) -> str:
        """Return what `plain` read."""
        second, part = divmod(round(moment * 1000), 1000)
        if second != self._second or not self._text:
            self._text, self._second = _written(second), second
        return f"{self._text}.{part:03d}Z"


def _written(second: int) -> str:
    return (dt.datetime(1970, 1, 1) + dt.timedelta(seconds=second)).isoformat()  # noqa: DTZ001  # UTC


def moment_of(text: object) -> float | None:
    """Return the s since 1970 of any ISO 8601 time, None for what is none."""
    try:
        return dt.datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        return None


def row_of(record: Record, policy: str | None, moments: Moments) -> Row:
    """Return the COLUMNS of a record; `policy` is the digest in force where it is from."""
    get = record.get
    time, seq, status, threat = moments.plain(get("time")), get("seq"), get("status"), get("threat")
    if time is None or not _is_decision(record):
        return _odd_row(record, policy)
    rest = record.keys() - _REQUIRED - _OPTIONAL
    kept = {key: record[key] for key in record if key in rest} if rest else {}
    if record["source"] is not None:
        kept["source"] = record["source"]
    identity, url = record["id"], record["url"]
    return (
        time,
        identity.partition("-")[0],
        seq,
        identity,
        None,
        record["point"],
        record["method"],
        host_of(url),
        url,
        record["client"],
        record["user"],
        record["action"],
        record["stage"],
        record["rule"],
        record["category"],
        threat,
        status,
        policy,
        _dumps(kept) if kept else None,
    )


def _is_decision(record: Record) -> bool:
    """Whether the columns can say this record so that it can be told from them."""
    if not (record.keys() >= _REQUIRED) or record.get("event") is not None:
        return False
    seq, threat = record.get("seq", 0), record.get("threat", "")
    if type(seq) is not int or type(threat) is not str or type(record["status"]) is not int:
        return False
    if seq not in _INTEGERS or record["status"] not in _INTEGERS or "event" in record:
        return False
    for name in _TEXTS:
        value = record[name]
        if type(value) is not str or not _storable(value):
            return False
    for name in _PERHAPS:
        value = record[name]
        if value is not None and (type(value) is not str or not _storable(value)):
            return False
    return _storable(threat)


def _storable(text: str) -> bool:
    """Whether there is UTF-8 of it: not of half a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _odd_row(record: Record, policy: str | None) -> Row:
    """Return the row of anything else: what the columns can hold, for searches, and the whole as JSON."""
    values: dict[str, object] = {name: _cell(record.get(name)) for name in COLUMNS}
    values["time"] = moment_of(record.get("time"))
    for name in ("seq", "status"):
        value = record.get(name)
        values[name] = value if type(value) is int and value in _INTEGERS else None
    host = record.get("host") or host_of(str(record.get("url") or ""))
    values |= {"source": _cell(life_of(record)), "host": _cell(host) or None, "json": _dumps(record)}
    values["policy"] = policy
    return tuple(values.values())


def _cell(value: object) -> str | None:
    return None if value is None else str(value).encode("utf-8", "replace").decode()


def life_of(record: Record) -> str | None:
    """Return which life of a serving process a record is from: its numbers (`seq`) are of that."""
    if record.get("event") and record.get("source"):
        return str(record["source"])
    identity = record.get("id")
    return str(identity).partition("-")[0] if identity else None


def record_of(row: Row, moments: Moments) -> Record:
    """Return the record of a row with COLUMNS."""
    rest: Record = {} if row[18] is None else json.loads(str(row[18]))
    if "time" in rest:
        return rest
    time, _, seq, identity, _, point, method, _, url, client, user, action, stage, rule, category = row[:15]
    record: Record = {
        "time": moments.text(time),  # type: ignore[arg-type]
        "id": identity,
        "point": point,
        "method": method,
        "url": url,
        "client": client,
        "user": user,
        "action": action,
        "stage": stage,
        "rule": rule,
        "source": rest.pop("source", None),
        "category": category,
    }
    record |= rest
    if row[15] is not None:
        record["threat"] = row[15]
    record["status"] = row[16]
    if seq is not None:
        record["seq"] = seq
    return record
