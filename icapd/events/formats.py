"""Records of the decision log in other forms: each a pure function of one record, a line without its end.

A record is what `decision_line` writes, read back by `json.loads`. Whatever a client sent, a line stays
one line: what is not printable (controls, CR, LF, bidi marks) is spelled as an escape, and what would
end a field of the format is escaped as the format says.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import icapd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Record = dict[str, Any]
_BAD = frozenset({"block", "refuse", "error"})
_HIGH = 8  # of CEF's and LEEF's 0 to 10: something was found
_MEDIUM = 5
_LOW = 2
_LINE_ENDS = re.compile(r"([\r\n])")
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_GRAPHIC = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


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
    """One value of CEF, in which lines are told apart by their own escapes."""
    parts = _LINE_ENDS.split(str(value))
    return "".join(
        ascii(part)[1:-1] if part in {"\n", "\r"} else plain(part).replace("\\", "\\\\").replace("=", "\\=")
        for part in parts
    )


def _percent(value: object) -> str:
    """One field of a line whose fields blanks divide; "-" is none."""
    text = "" if value is None else str(value)
    return quote(text, safe=_GRAPHIC, errors="surrogatepass") or "-"


def _url(value: object) -> str:
    """Likewise, of a URL: its own escapes stay as they are."""
    text = "" if value is None else str(value)
    return quote(text, safe=_GRAPHIC + "%", errors="surrogatepass") or "-"


def _severity(record: Record) -> int:
    if record.get("threat"):
        return _HIGH
    return _MEDIUM if record.get("action") in _BAD or record.get("event") == "lost" else _LOW


def _time(record: Record) -> dt.datetime:
    return dt.datetime.fromisoformat(str(record["time"]))


def _event(record: Record) -> str:
    return str(record.get("event") or record.get("action") or "unknown")


def _version(address: object) -> int:
    """Return 4 or 6, 0 for what is no address; with a zone it is none to most."""
    try:
        return ipaddress.ip_address(str(address)).version if "%" not in str(address) else 0
    except ValueError:
        return 0


def squid(record: Record) -> str:
    """Squid's native access.log, with the decision id and the rule in place of hierarchy and type.

    Duration and size are not known here: 0. The result is TCP_DENIED where the message did not pass. What is
    no transaction has the method NONE and the URL `event:NAME`, if it has none.
    """
    result = "TCP_DENIED" if record.get("action") in {*_BAD, "redirect"} else "TCP_MISS"
    event = record.get("event")
    result = "NONE" if event else result
    method = "NONE" if event else _percent(record.get("method"))
    url = _url(record.get("url") or record.get("host") or (f"event:{event}" if event else None))
    client, status = _percent(record.get("client")), _percent(record.get("status"))
    rule, identity = _percent(record.get("rule")), _percent(record.get("id"))
    return (
        f"{_time(record).timestamp():.3f} 0 {client} {result}/{status} 0 {method} {url} "
        f"{_percent(record.get('user'))} {identity}/{rule} -"
    )


def _pairs(record: Record, names: Mapping[str, str]) -> list[tuple[str, object]]:
    found = ((key, record.get(name)) for key, name in names.items())
    return [(key, value) for key, value in found if value not in {None, ""}]


_CEF = {
    "externalId": "id", "spt": "client_port", "suser": "user", "requestMethod": "method",
    "request": "url", "dhost": "host", "act": "action", "cs1": "rule", "cs2": "category", "cs3": "threat",
    "cs4": "digest", "cs5": "mime", "requestClientApplication": "user_agent",
    "cn1": "status", "cn2": "seq", "cn3": "count", "flexNumber1": "http_status", "msg": "why",
}  # fmt: skip
_CEF_LABELS = {
    "cs1": "rule", "cs2": "category", "cs3": "threat", "cs4": "policy", "cn1": "icapStatus", "cn2": "seq",
    "cn3": "lost", "cs5": "mediaType", "flexNumber1": "httpStatus", "c6a2": "Source IPv6 Address",
    "c6a3": "Destination IPv6 Address",
}  # fmt: skip


def cef(record: Record) -> str:
    """ArcSight's Common Event Format, version 0, in which `src` and `dst` are of IPv4 only."""
    event = _header(_event(record))
    pairs: list[tuple[str, object]] = [("rt", int(_time(record).timestamp() * 1000))]
    client = {4: "src", 6: "c6a2"}.get(_version(record.get("client")), "shost")
    server = {4: {"dst": "server"}, 6: {"c6a3": "server"}}.get(_version(record.get("server")), {})
    for key, value in _pairs(record, {client: "client", **server, **_CEF}):
        if key in _CEF_LABELS:
            pairs.append((f"{key}Label", _CEF_LABELS[key]))
        pairs.append((key, value))
    extension = " ".join(f"{key}={_extension(value)}" for key, value in pairs)
    version = _header(icapd.__version__)
    return f"CEF:0|icapd|icapd|{version}|{event}|web {event}|{_severity(record)}|{extension}"


_LEEF = {
    "decisionId": "id", "src": "client", "srcPort": "client_port", "usrName": "user", "method": "method",
    "url": "url", "dstHost": "host", "action": "action", "policy": "rule", "cat": "category",
    "threat": "threat", "icapStatus": "status", "seq": "seq", "lost": "count", "reason": "why",
    "policyDigest": "digest", "dst": "server", "userAgent": "user_agent", "httpStatus": "http_status",
    "mimeType": "mime",
}  # fmt: skip


def leef(record: Record) -> str:
    """QRadar's LEEF 1.0: tabs divide the fields; it has no escape for values, and needs none but for tabs."""
    time = _time(record).astimezone(dt.UTC)
    month = _MONTHS[3 * time.month - 3 : 3 * time.month]
    at = f"{month} {time:%d %Y %H:%M:%S}.{time.microsecond // 1000:03d} GMT"
    pairs = [("devTime", at), ("devTimeFormat", "MMM dd yyyy HH:mm:ss.SSS z"), ("sev", _severity(record))]
    fields = "\t".join(f"{key}={plain(value)}" for key, value in [*pairs, *_pairs(record, _LEEF)])
    return f"LEEF:1.0|icapd|icapd|{_header(icapd.__version__)}|{_header(_event(record))}|{fields}"


_ECS = {
    "event.id": "id", "event.sequence": "seq", "http.request.method": "method", "url.full": "url",
    "client.address": "client", "client.port": "client_port", "user.name": "user", "rule.name": "rule",
    "rule.category": "category", "destination.domain": "host", "icapd.threat": "threat",
    "icapd.status": "status", "icapd.policy": "digest", "icapd.lost": "count", "message": "why",
    "user_agent.original": "user_agent", "http.response.status_code": "http_status",
    "http.response.mime_type": "mime", "destination.address": "server", "tls.client.server_name": "sni",
}  # fmt: skip


def ecs(record: Record) -> str:
    """Elastic Common Schema 8, one JSON object in ASCII; names with dots are understood by Elasticsearch."""
    action = record.get("action")
    out = {"@timestamp": record["time"], "ecs.version": "8.11.0", "event.module": "icapd"}
    out |= {"observer.product": "icapd", "observer.type": "proxy"}
    out |= {"event.kind": "alert" if record.get("threat") else "event", "event.action": _event(record)}
    if action:
        reached = "denied" if action in {*_BAD, "redirect"} else "allowed"
        out |= {"event.category": ["web", "network"], "event.type": ["access", reached]}
        out["event.outcome"] = "failure" if action == "error" else "success"
    else:
        out |= {"event.category": ["configuration"] if record.get("event") == "policy" else ["web"]}
        out["event.type"] = ["info"]
    for key, name in (("client.ip", "client"), ("destination.ip", "server")):
        if _version(record.get(name)):
            out[key] = record[name]
    return json.dumps({**out, "event.severity": _severity(record), **dict(_pairs(record, _ECS))})


_KWTS_ACTIONS = {"refuse": "Block", "error": "Block", "bypass": "Allow"}


def kwts(record: Record) -> str:
    """The keys of Kaspersky Web Traffic Security's syslog lines, as far as a record has their facts."""
    action = str(record.get("action") or "")
    rule = f"{record.get('stage')}_rules [{record['rule']}]" if record.get("rule") else ""
    values = {
        "type": "Response" if record.get("point") == "respmod" else "Request",
        "method": record.get("method"),
        "action": _KWTS_ACTIONS.get(action, action.capitalize()),
        "blocked_by_rule": rule if action in _BAD else "",
        **({"redirected_by_rule": rule} if action == "redirect" else {}),
        "http_user_name": record.get("user"),
        "http_user_agent": record.get("user_agent"),
        "http_user_ip": record.get("client"),
        "url": record.get("url") or record.get("host"),
        "rules": rule,
        "threats": record.get("threat"),
        "decision_id": record.get("id"),
    }
    if not action:
        values |= {"event": _event(record), "count": record.get("count"), "why": record.get("why")}
    return ": ".join(f'{key}="{_quoted(value)}"' for key, value in values.items())


FORMATS: dict[str, Callable[[Record], str]] = {
    "squid": squid,
    "cef": cef,
    "leef": leef,
    "ecs": ecs,
    "kwts": kwts,
}
