"""The adapter `pyicap`: a pyicap BaseICAPRequestHandler subclass, unmodified, run in a thread.

It is given an ICAP request over a pair of buffers: the body in a preview if `preview` is set, `100 Continue`
and the rest when it asks. What its answer means:

    204, or the message as it was       clean
    X-Infection-Found, X-Virus-ID,
    X-Violations-Found                  MALWARE, by the name that stands there
    200 with an HTTP response of
    another status (REQMOD: any)        MALWARE, named after the status: "replaced by 403"
    another head or body                nothing found: what it changed is not adopted
    404, any error, no answer           an error
"""

from __future__ import annotations

import collections.abc
import importlib
import io
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from icapd.errors import AdapterError
from icapd.options import Options
from icapd.protocol.client import ClientConnection, Request
from icapd.protocol.errors import RemoteProtocolError
from icapd.protocol.events import ContinueReceived, DataReceived, ResponseReceived
from icapd.transaction import Point
from icapd.verdicts import Finding, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from icapd.adapters.model import Body, Xaction
    from icapd.transaction import Transaction

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_SERVICE = re.compile(r"[A-Za-z0-9_]{1,64}")
_PIECE = 1 << 16  # bytes of a chunk
_SIGNS = (b"x-infection-found", b"x-virus-id", b"x-violations-found")
_THREAT = re.compile(r"Threat=([^;]*)", re.IGNORECASE)
_NO_CONTENT, _OK = 204, 200


def _class_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError("not MODULE:CLASS")
    return text


def _service_name(text: str) -> str:
    if _SERVICE.fullmatch(text) is None:
        raise ValueError("not the name of a service, as in its methods' names: NAME_RESPMOD")
    return text


class PyicapOptions(Options):
    """Which class, and what it is asked."""

    handler: Annotated[str, AfterValidator(_class_name)] = Field(description="MODULE:CLASS")
    service: Annotated[str, AfterValidator(_service_name)] = Field(
        description="the name before _REQMOD and _RESPMOD in its methods' names"
    )
    preview: int | None = Field(
        default=None,
        ge=0,
        le=65536,
        description="bytes of a body it is shown first; unless given, all",
    )


class Pyicap:
    """One class of pyicap's kind."""

    options = PyicapOptions

    def __init__(self, name: str, options: Mapping[str, object]) -> None:
        """Import the class. Raises AdapterError."""
        self.name = name
        self._options = PyicapOptions.model_validate(dict(options))
        self._class = _load(self._options.handler)
        self.tag = f"{self._options.handler} {getattr(self._class, 'tag', '')}".strip()
        methods = [f"{self._options.service}_{each}" for each in ("REQMOD", "RESPMOD")]
        self._points = [bool(callable(getattr(self._class, each, None))) for each in methods]
        if not any(self._points):
            raise AdapterError(f"{self._options.handler} has no method {' or '.join(methods)}")

    def wants(self, tx: Transaction) -> bool:
        """Whether the class has a method for it."""
        return self._points[tx.point is Point.RESPMOD]

    async def start(self) -> None:
        """There is nothing to start."""

    async def stop(self) -> None:
        """There is nothing to stop."""

    async def scan(self, xaction: Xaction) -> Verdict:
        """Run the class in a thread."""
        tx, body = xaction.transaction, xaction.body
        return await xaction.in_thread(lambda: self._ask(tx, body))

    def _ask(self, tx: Transaction, body: Body) -> Verdict:
        exchange = _Exchange(self._request(tx, body), body)
        try:
            self._class(exchange, (tx.client.address or "127.0.0.1", tx.client.port or 0), None)
        except Exception as error:  # noqa: BLE001  (theirs may raise anything, also when we end it)
            if exchange.response is None:
                return Verdict(error=f"{type(error).__name__}: {error}")
        try:
            exchange.take()
        except RemoteProtocolError as error:
            return Verdict(error=f"its answer is not ICAP: {error}")
        if exchange.response is None:
            return Verdict(error="it did not answer")
        return self._meaning(tx, exchange.response)

    def _request(self, tx: Transaction, body: Body) -> Request:
        method = b"RESPMOD" if tx.point is Point.RESPMOD else b"REQMOD"
        preview = self._options.preview if body.size else None
        headers = [(b"Allow", b"204"), (b"Connection", b"close")]
        if tx.client.address:
            headers.append((b"X-Client-IP", tx.client.address.encode("latin-1")))
        if tx.client.user:
            headers.append((b"X-Client-Username", _field(tx.client.user)))
        return Request(
            method=method,
            uri=f"icap://127.0.0.1/{self._options.service}".encode(),
            host=b"127.0.0.1",
            request_head=None if tx.request is None else tx.request.raw,
            response_head=None if tx.response is None else tx.response.raw,
            body=bool(body.size),
            preview=preview,
            headers=tuple(headers),
        )

    def _meaning(self, tx: Transaction, response: ResponseReceived) -> Verdict:
        """Read the answer as this module's head says."""
        if response.status not in {_OK, _NO_CONTENT}:
            return Verdict(error=f"ICAP {response.status} {response.reason}")
        for name in _SIGNS:
            value = response.headers.get(name)
            if value:
                text = value.decode("latin-1").strip()
                named = _THREAT.search(text)
                threat = (named[1] if named else text).strip() or "unnamed"
                return Verdict((Finding(Kind.MALWARE, threat, self.name),))
        status = _status(response.response_head)
        if status is None or (tx.response is not None and status == tx.response.status):
            return Verdict()
        return Verdict((Finding(Kind.MALWARE, f"replaced by {status}", self.name),))


class _Exchange:
    """The socket that pyicap is given: makefile() and the little else that socketserver asks of one."""

    def __init__(self, request: Request, body: Body) -> None:
        self._connection = ClientConnection()
        self._body = body
        self._preview = request.preview
        self.response: ResponseReceived | None = None
        self._bytes = self._sent(request)
        self._continued = False

    def _sent(self, request: Request) -> Iterator[bytes]:
        """Yield the request piece by piece, as it is read; what follows a preview, once it is asked for."""
        yield self._connection.send_request(request)
        if not request.body:
            return
        at = 0
        if self._preview is not None:
            first = self._body.read(0, self._preview)
            at = len(first)
            whole = at >= self._body.size
            yield (self._connection.send_data(first) if first else b"") + self._connection.send_end(
                ieof=whole
            )
            if whole:
                return
            self.take()
            if not self._continued:
                return
        while at < self._body.size and (piece := self._body.read(at, _PIECE)):
            at += len(piece)
            yield self._connection.send_data(piece)
        yield self._connection.send_end()

    def take(self) -> None:
        """Read what was answered so far. Raises RemoteProtocolError."""
        while (event := self._connection.next_event()) is not None:
            if isinstance(event, ContinueReceived):
                self._continued = True
            elif isinstance(event, ResponseReceived):
                self.response = event
            elif not isinstance(event, DataReceived) and self.response is not None:
                return  # the end of its body, or of all

    def makefile(self, mode: str = "r", *_: object, **__: object) -> Any:  # noqa: ANN401
        """Return what pyicap reads from."""
        del mode
        return io.BufferedReader(_Pieces(self._bytes))

    def sendall(self, data: bytes) -> None:
        """Take what pyicap writes."""
        self._connection.receive(bytes(data))

    def settimeout(self, seconds: float | None) -> None:
        """Have no time-out of our own: whoever asked has one."""

    def setsockopt(self, *_: object) -> None:
        """Have no options."""


class _Pieces(io.RawIOBase):
    """A stream of what an iterator yields."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401
        """Fill the buffer from the next piece."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = piece
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def _load(name: str) -> Any:  # noqa: ANN401
    """Return a class by MODULE:CLASS, with pyicap mended for it. Raises AdapterError."""
    pyicap = importlib.import_module("pyicap")
    # 1.0b1 asks for collections.Callable, which Python 3.10 took away; its own name alone is changed.
    pyicap.collections = collections.abc  # type: ignore[attr-defined]
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise AdapterError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, pyicap.BaseICAPRequestHandler)):
        raise AdapterError(f"{name} is no subclass of pyicap.BaseICAPRequestHandler")
    return _quiet(found)


def _quiet(base: Any) -> Any:  # noqa: ANN401
    """Return the class without its lines on standard error, unless it has made that its own affair."""
    original = importlib.import_module("pyicap").BaseICAPRequestHandler.log_message
    return (
        type(base.__name__, (base,), {"log_message": _say_nothing}) if base.log_message is original else base
    )


def _say_nothing(*_: object) -> None:
    """Instead of log_message."""


def _field(text: str) -> bytes:
    return "".join(each if each.isprintable() else "?" for each in text).encode("utf-8", "replace")


def _status(head: bytes | None) -> int | None:
    """Return the status in an HTTP response's first line, None if it has none."""
    words = (head or b"").split(b" ", 2)
    return int(words[1]) if len(words) > 1 and re.fullmatch(rb"\d{3}", words[1].strip()) else None
