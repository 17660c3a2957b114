"""A record as a syslog message, RFC 5424: its head, its structured data, and the record in a chosen format.

PROCID is the record's source, one life of one serving process, of which `seq` counts. The text has a byte
order mark where it is not ASCII, as §6.4 asks. What is longer than the transport takes is cut, and says so.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.events.formats import FORMATS, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from icapd.events.formats import Record

UDP_BYTES = 2048  # what every receiver should take, RFC 5426 §3.2
STREAM_BYTES = 8192  # likewise, RFC 5425 §4.3.1; what rsyslog takes unless told otherwise
CUT = "[cut]"
SD_ID = "icapd@32473"  # the enterprise number of examples, RFC 5612: icapd has none of its own
FACILITIES = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8,
    "cron": 9, "authpriv": 10, "ftp": 11, **{f"local{number}": 16 + number for number in range(8)},
}  # fmt: skip
_BOM = b"\xef\xbb\xbf"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_NO_GRAPH = re.compile(r"[^\x21-\x7e]")
_CRITICAL, _ERROR, _WARNING, _NOTICE, _INFORMATIONAL = 2, 3, 4, 5, 6  # §6.2.1
_SEVERITIES = {
    "error": _ERROR,
    "block": _WARNING,
    "refuse": _WARNING,
    "lost": _WARNING,
    "ticket-misused": _WARNING,
    "redirect": _NOTICE,
    "policy": _NOTICE,
    "ticket-unused": _NOTICE,
}
_MAX_HOST, _MAX_PROCESS, _MAX_ID, _MAX_RULE = 255, 128, 32, 200  # characters; the last is ours
_LISTS = ("findings", "errors", "shadow", "tls_shadow", "unscanned")
_MAX_CUT_VALUE = 64  # characters that are left of a long value other than the URL


def as_json(record: Record) -> str:
    """Return the record as it is in the log: one JSON object, in ASCII."""
    return json.dumps(record, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Form:
    """How one receiver wants its messages; `limit` is in bytes."""

    format: str = "json"
    facility: str = "local0"
    limit: int = STREAM_BYTES
    host: str = os.uname().nodename

    def message(self, record: Record) -> bytes:
        """Return the message of a record, without what frames it. At most `limit` bytes, and valid UTF-8."""
        show: Callable[[Record], str] = as_json if self.format == "json" else FORMATS[self.format]
        head = self._head(record)
        data = _joined(head, _structured(record), show(record))
        if len(data) <= self.limit:
            return data
        structured = _structured(record, cut=True)
        for shorter in _shorter(record, len(data) - self.limit + len(b' cut="1"')):
            data = _joined(head, structured, show(shorter))
            if len(data) <= self.limit:
                return data
        return data[: self.limit - len(CUT)].decode("utf-8", "ignore").encode() + CUT.encode()

    def _head(self, record: Record) -> str:
        priority = FACILITIES[self.facility] * 8 + severity(record)
        time = str(record.get("time"))
        time = time if _TIME.fullmatch(time) else "-"
        source = record.get("source") if "event" in record else None
        process = source or str(record.get("id") or "").rpartition("-")[0]
        what = record.get("event") or record.get("action")
        words = (_word(self.host, _MAX_HOST), "icapd", _word(process, _MAX_PROCESS), _word(what, _MAX_ID))
        return f"<{priority}>1 {time} {' '.join(words)} "


def severity(record: Record) -> int:
    """Return the severity, 0 to 7: critical where a threat was found, informational for what passed."""
    if record.get("threat"):
        return _CRITICAL
    return _SEVERITIES.get(str(record.get("event") or record.get("action")), _INFORMATIONAL)


def frame(message: bytes) -> bytes:
    """Return a message for a stream: octet counting, RFC 6587 §3.4.1 and RFC 5425 §4.3."""
    return b"%d %b" % (len(message), message)


def _word(value: object, most: int) -> str:
    return _NO_GRAPH.sub("_", str(value or ""))[:most] or "-"


def _structured(record: Record, *, cut: bool = False) -> str:
    rule = record.get("rule")
    values = {
        "id": record.get("id"),
        "seq": record.get("seq"),
        "rule": None if rule is None else _ended(str(rule), _MAX_RULE),
        "cut": 1 if cut else None,
    }
    pairs = "".join(f' {key}="{_escaped(value)}"' for key, value in values.items() if value is not None)
    return f"[{SD_ID}{pairs}]"


def _escaped(value: object) -> str:
    return re.sub(r'(["\\\]])', r"\\\1", plain(value))  # §6.3.3


def _joined(head: str, structured: str, text: str) -> bytes:
    data = text.encode()
    return f"{head}{structured} ".encode() + (data if data.isascii() else _BOM + data)


def _shorter(record: Record, excess: int) -> list[Record]:
    """Return the record with less in it: of the URL first, then of its lists, then of all texts."""
    out = dict(record)
    url = str(out.get("url") or "")
    if url:
        out["url"] = _ended(url, max(0, len(url) - excess))
    without = {key: value for key, value in out.items() if key not in _LISTS}
    least = {
        key: _ended(value, _MAX_CUT_VALUE)
        if isinstance(value, str) and key not in {"time", "id", "url", "source"}
        else value
        for key, value in without.items()
    }
    return [out, without, least]


def _ended(text: str, most: int) -> str:
    """Return a text of at most `most` characters, or the mark that it was cut."""
    return text if len(text) <= most else text[: max(0, most - len(CUT))] + CUT
