r"""The decision line: one JSON object a line, written in batches.

Every value goes through the JSON string escape into ASCII: a CR, LF, ESC or bidi mark of a client
arrives in the log as `\\u…`. Built with one f-string, since json.dumps costs five times as much
(facts/performance.md §1). Credentials never reach it: URLs are in normal form, without userinfo.
"""

from __future__ import annotations

import datetime as dt
import os
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icapd.policy import Decision
    from icapd.transaction import Transaction

_quote = encode_basestring_ascii
_FLUSH_BYTES = 64 * 1024  # one write of this size costs 20 µs; smaller ones add up
_MAX_URL = 4096  # longer ones are cut: a line must not cost what the longest URL costs


class _Stamp:
    """ISO 8601 text of a time; the part above the second is made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self, now: float) -> str:
        second = int(now)
        if second != self._second:
            self._second = second
            self._text = dt.datetime.fromtimestamp(second, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._text}.{int((now - second) * 1000):03d}Z"


_stamp = _Stamp()


def _or_null(text: str | None) -> str:
    return "null" if text is None else _quote(text)


def decision_line(tx: Transaction, decision: Decision, *, decision_id: str, url: str, status: int) -> str:
    """Return one line with its newline. `status` is the ICAP status of the answer."""
    request = tx.request
    client = tx.client
    rule = decision.rule
    if rule is None:
        by = '"rule":null,"source":null'
    else:
        by = f'"rule":{_quote(rule.name)},"source":{_quote(rule.source)}'
    return (
        f'{{"time":"{_stamp.text(tx.now)}","id":"{decision_id}","point":"{tx.point.value}",'
        f'"method":{"null" if request is None else _quote(request.method)},'
        f'"url":{_quote(url[:_MAX_URL])},"client":{_or_null(client.address)},"user":{_or_null(client.user)},'
        f'"action":"{type(decision.action).__name__.lower()}","stage":"{decision.stage}",{by},'
        f'"category":{_or_null(decision.category)},"status":{status}}}\n'
    )


class DecisionLog:
    """Appends lines to a descriptor in batches; `flush` is called by the server's clock.

    Lines that cannot be written (disk full) are counted in `lost` and never stop an answer.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._size = 0
        self.lost = 0

    def append(self, line: str) -> None:
        """Take one line, newline included."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered."""
        if not self._lines:
            return
        lines, self._lines, self._size = self._lines, [], 0
        data = "".join(lines).encode("ascii")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            self.lost += data.count(b"\n")
