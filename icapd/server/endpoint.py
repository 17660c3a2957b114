"""The metrics' endpoint: /metrics, /healthz and /readyz by HTTP, one request a connection.

Whoever can connect may ask, so all is bounded: the head, the time, the connections, and how often the
answer is made anew. Nothing of a request comes back in an answer.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet import error
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as _Protocol
from twisted.logger import Logger

from icapd.errors import IcapdError
from icapd.metrics.exposition import OPEN, PLAIN, exposition
from icapd.metrics.readiness import readiness
from icapd.metrics.samples import samples_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IDelayedCall
    from twisted.python.failure import Failure

    from icapd.metrics.snapshot import Snapshot
    from icapd.recording import Address

MAX_HEAD = 8192  # bytes
MAX_OPEN = 32  # connections
SECONDS = 10.0  # for a request and its answer
FRESH = 0.25  # s for which an answer is given again
_LINE = re.compile(rb"([A-Z]{1,20}) (/[!-~]{0,2000}|\*) HTTP/1\.[01]\r\n")
_ACCEPT = re.compile(rb"\r\naccept:[^\r\n]*application/openmetrics-text(?:;|,|\s|$)", re.IGNORECASE)
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_log = Logger(namespace="icapd")


class Telling(Protocol):
    """What the endpoint tells of."""

    def snapshot(self) -> Snapshot:
        """Return how it is now."""
        ...


class _Answers:
    """What is answered to each path, made at most once in FRESH s."""

    def __init__(self, telling: Telling, reactor: Any) -> None:  # noqa: ANN401
        self._telling = telling
        self._reactor = reactor
        self._made: dict[str, tuple[float, tuple[int, str, bytes]]] = {}

    def get(self, path: str, *, open_metrics: bool) -> tuple[int, str, bytes]:
        """Return status, type and body."""
        if path == "/healthz":
            return 200, _TEXT, b"alive\n"
        if path not in {"/metrics", "/readyz"}:
            return 404, _TEXT, b"there are /metrics, /healthz and /readyz\n"
        key = f"{path} {open_metrics}"
        now = self._reactor.seconds()
        at, answer = self._made.get(key, (float("-inf"), (500, _TEXT, b"")))
        if now - at >= FRESH:
            answer = self._make(path, open_metrics=open_metrics)
            self._made[key] = (now, answer)
        return answer

    def _make(self, path: str, *, open_metrics: bool) -> tuple[int, str, bytes]:
        try:
            found = self._telling.snapshot()
            if path == "/readyz":
                told = readiness(found)
                return (200 if told["ready"] else 503), _JSON, json.dumps(told).encode("ascii") + b"\n"
            text = exposition(samples_of(found), open_metrics=open_metrics)
            return 200, OPEN if open_metrics else PLAIN, text.encode()
        except Exception:  # noqa: BLE001  # a scrape that fails must cost nothing else
            _log.failure("the metrics could not be told")
            return 500, _TEXT, b"see icapd's log\n"


class _Request(_Protocol):
    """One connection."""

    transport: Any

    def __init__(self, factory: _Endpoint) -> None:
        self._factory = factory
        self._head = b""
        self._over = False
        self._late: IDelayedCall

    def connectionMade(self) -> None:
        """Begin; one too many ends at once."""
        self._factory.count += 1
        self._late = self._factory.reactor.callLater(SECONDS, self._abort)
        if self._factory.count > MAX_OPEN:
            self._abort()

    def dataReceived(self, data: bytes) -> None:
        """Take the head, and nothing behind it."""
        if self._over:
            return
        self._head += data
        if len(self._head) > MAX_HEAD:
            self._answer(431, _TEXT, b"")
        elif b"\r\n\r\n" in self._head:
            self._asked()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002
        """It is over."""
        self._over = True
        self._factory.count -= 1
        if self._late.active():
            self._late.cancel()

    def _asked(self) -> None:
        match = _LINE.match(self._head)
        if match is None:
            self._answer(400, _TEXT, b"")
        elif match[1] not in {b"GET", b"HEAD"}:
            self._answer(405, _TEXT, b"", "Allow: GET, HEAD\r\n")
        else:
            path = match[2].partition(b"?")[0].decode("ascii")
            wants_open = _ACCEPT.search(self._head) is not None
            status, kind, body = self._factory.answers.get(path, open_metrics=wants_open)
            self._answer(status, kind, body, has_body=match[1] == b"GET")

    def _answer(self, status: int, kind: str, body: bytes, more: str = "", *, has_body: bool = True) -> None:
        self._over = True
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{more}Connection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + (body if has_body else b""))
        self.transport.loseConnection()

    def _abort(self) -> None:
        self._over = True
        self.transport.abortConnection()


class _Endpoint(Factory):
    noisy = False

    def __init__(self, telling: Telling, reactor: Any) -> None:  # noqa: ANN401
        self.answers = _Answers(telling, reactor)
        self.reactor = reactor
        self.count = 0

    def buildProtocol(self, addr: IAddress | None) -> _Request:
        """Serve whoever can connect."""
        del addr
        return _Request(self)


def listen_metrics(address: Address, telling: Telling, reactor: Any) -> None:  # noqa: ANN401
    """Answer at `address`. Raises IcapdError when that is impossible."""
    try:
        port = reactor.listenTCP(address.port, _Endpoint(telling, reactor), interface=address.host)
    except (error.CannotListenError, OSError) as failure:
        reason = getattr(failure, "socketError", failure)
        why = getattr(reason, "strerror", None) or str(reason)
        raise IcapdError(f"cannot listen on metrics {address.text}: {why}") from None
    host = f"[{address.host}]" if ":" in address.host else address.host
    _log.info("metrics at http://{host}:{port}/metrics", host=host, port=port.getHost().port)
