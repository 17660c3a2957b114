"""Records of the decision log in other forms: each a pure function of one record, a line without its end.

A record is what `decision_line` writes, read back by `json.loads`. Whatever a client sent, a line stays
one line: what is not printable (controls, CR, LF, bidi marks) is spelled as an escape, and what would
end a field of the format is escaped as the format says.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import icapd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Record = dict[str, Any]
_BAD = frozenset({"block", "refuse", "error"})
_HIGH = 8  # of CEF's and LEEF's 0 to 10: something was found
_MEDIUM = 5
_LOW = 2


def plain(value: object) -> str:
    """Return a value fit for a line or a terminal: what is not printable is written as an escape."""
    text = "" if value is None else str(value)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _quoted(value: object) -> str:
    return plain(value).replace("\\", "\\\\").replace('"', '\\"')


def _header(value: object) -> str:
    return plain(value).replace("\\", "\\\\").replace("|", "\\|")


def _extension(value: object) -> str:
    return plain(value).replace("\\", "\\\\").replace("=", "\\=")


def _word(value: object) -> str:
    """One field of a line whose fields blanks divide; "-" is none."""
    return "".join(f"%{ord(one):02X}" if one in ' "%' else one for one in plain(value)) or "-"


def _severity(record: Record) -> int:
    if record.get("threat"):
        return _HIGH
    return _MEDIUM if record.get("action") in _BAD else _LOW


def _time(record: Record) -> dt.datetime:
    return dt.datetime.fromisoformat(str(record["time"]))


def _event(record: Record) -> str:
    return str(record.get("event") or record.get("action") or "unknown")


def squid(record: Record) -> str:
    """Squid's native access.log, with the decision id and the rule in place of hierarchy and type.

    Duration and size are not known here: 0. The result is TCP_DENIED where the message did not pass.
    """
    result = "TCP_DENIED" if record.get("action") in {*_BAD, "redirect"} else "TCP_MISS"
    words = (record.get("method"), record.get("url") or record.get("host"), record.get("user"))
    method, url, user = map(_word, words)
    client, status = _word(record.get("client")), _word(record.get("status"))
    rule, identity = _word(record.get("rule")), _word(record.get("id"))
    return (
        f"{_time(record).timestamp():.3f} 0 {client} {result}/{status} 0 {method} {url} {user} "
        f"{identity}/{rule} -"
    )


def _pairs(record: Record, names: Mapping[str, str]) -> list[tuple[str, object]]:
    found = ((key, record.get(name)) for key, name in names.items())
    return [(key, value) for key, value in found if value not in {None, ""}]


_CEF = {
    "externalId": "id", "src": "client", "spt": "client_port", "suser": "user", "requestMethod": "method",
    "request": "url", "dhost": "host", "act": "action", "cs1": "rule", "cs2": "category", "cs3": "threat",
    "cn1": "status",
}  # fmt: skip
_CEF_LABELS = {"cs1": "rule", "cs2": "category", "cs3": "threat", "cn1": "icapStatus"}


def cef(record: Record) -> str:
    """ArcSight's Common Event Format, version 0."""
    event = _header(_event(record))
    pairs: list[tuple[str, object]] = [("rt", int(_time(record).timestamp() * 1000))]
    for key, value in _pairs(record, _CEF):
        if key in _CEF_LABELS:
            pairs.append((f"{key}Label", _CEF_LABELS[key]))
        pairs.append((key, value))
    extension = " ".join(f"{key}={_extension(value)}" for key, value in pairs)
    version = _header(icapd.__version__)
    return f"CEF:0|icapd|icapd|{version}|{event}|web {event}|{_severity(record)}|{extension}"


_LEEF = {
    "identId": "id", "src": "client", "srcPort": "client_port", "usrName": "user", "method": "method",
    "url": "url", "dstHost": "host", "action": "action", "policy": "rule", "cat": "category",
    "threat": "threat", "icapStatus": "status",
}  # fmt: skip


def leef(record: Record) -> str:
    """QRadar's LEEF 1.0: tabs divide the fields, and none can be in a value."""
    pairs = [("devTime", int(_time(record).timestamp() * 1000)), ("sev", _severity(record))]
    fields = "\t".join(f"{key}={_extension(value)}" for key, value in [*pairs, *_pairs(record, _LEEF)])
    return f"LEEF:1.0|icapd|icapd|{_header(icapd.__version__)}|{_header(_event(record))}|{fields}"


_ECS = {
    "event.id": "id", "event.action": "action", "http.request.method": "method", "url.full": "url",
    "client.ip": "client", "client.port": "client_port", "user.name": "user", "rule.name": "rule",
    "rule.category": "category", "destination.domain": "host", "icapd.threat": "threat",
}  # fmt: skip


def ecs(record: Record) -> str:
    """Elastic Common Schema 8, one JSON object in ASCII; names with dots are understood by Elasticsearch."""
    fixed = {"@timestamp": record["time"], "ecs.version": "8.11.0", "event.module": "icapd"}
    outcome = "failure" if record.get("action") == "error" else "success"
    return json.dumps({**fixed, "event.outcome": outcome, **dict(_pairs(record, _ECS))})


def kwts(record: Record) -> str:
    """The keys of Kaspersky Web Traffic Security's syslog lines, as far as a record has their facts."""
    kind = "Response" if record.get("point") == "respmod" else "Request"
    rule = f"{record.get('stage')}_rules [{record['rule']}]" if record.get("rule") else ""
    denied = record.get("action") in {*_BAD, "redirect"}
    values = {
        "type": kind,
        "method": record.get("method"),
        "action": str(record.get("action") or "").capitalize(),
        "blocked_by_rule": rule if denied else "",
        "http_user_name": record.get("user"),
        "http_user_ip": record.get("client"),
        "url": record.get("url"),
        "rules": rule,
        "threats": record.get("threat"),
        "decision_id": record.get("id"),
    }
    return ": ".join(f'{key}="{_quoted(value)}"' for key, value in values.items())


FORMATS: dict[str, Callable[[Record], str]] = {
    "squid": squid,
    "cef": cef,
    "leef": leef,
    "ecs": ecs,
    "kwts": kwts,
}
