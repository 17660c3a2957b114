"""One request through a proxy, as a browser sends it, and what came of it."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

SECONDS = 8.0  # without a byte
_OK = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: 0 is no answer, `error` says why. `connect` is the status of the CONNECT, if one was sent.

    `here` is our own address on the connection to the proxy. `headers` have small names.
    """

    status: int = 0
    connect: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""
    here: str = ""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def squid_error(self) -> str:
        """Squid's own name for an error page of its own, or ""."""
        return self.headers.get("x-squid-error", "").partition(" ")[0]

    @property
    def date(self) -> datetime | None:
        """The Date that came with it."""
        try:
            return parsedate_to_datetime(self.headers.get("date", ""))
        except ValueError:
            return None


def ask(
    proxy: tuple[str, int],
    target: str,
    fields: Mapping[str, str],
    *,
    method: str = "GET",
    tunnel: str = "",
    trust: ssl.SSLContext | None = None,  # with a tunnel
) -> Answer:
    """Send one request for `target`; given a `tunnel` (HOST:PORT), in TLS inside of one, trusting `trust`.

    `fields` are sent with the request to the proxy, a CONNECT where there is a tunnel. Never raises for
    what a peer does.
    """
    answer = Answer()
    try:
        with contextlib.ExitStack() as closing:
            plain = closing.enter_context(socket.create_connection(proxy, SECONDS))
            answer = replace(answer, here=str(plain.getsockname()[0]))
            if not tunnel:
                return _exchange(plain, method, target, fields, answer)
            _send(plain, "CONNECT", tunnel, {"Host": tunnel, **fields})
            opened = http.client.HTTPResponse(plain, method="CONNECT")
            opened.begin()
            answer = replace(answer, connect=opened.status, headers=_small(opened))
            if opened.status != _OK or trust is None:
                return answer
            host = tunnel.rpartition(":")[0]
            secure = closing.enter_context(trust.wrap_socket(plain, server_hostname=host))
            return _exchange(secure, method, target, {"Host": host}, answer)
    except ssl.SSLCertVerificationError as error:
        return replace(answer, error=f"certificate not trusted: {error.verify_message}")
    except TimeoutError:
        return replace(answer, error=f"no answer within {SECONDS:.0f} s")
    except (OSError, http.client.HTTPException) as error:
        return replace(answer, error=getattr(error, "strerror", None) or str(error) or type(error).__name__)


def _exchange(
    connection: socket.socket, method: str, target: str, fields: Mapping[str, str], answer: Answer
) -> Answer:
    host = target.partition("://")[2].partition("/")[0]
    _send(connection, method, target, {"Host": host, "Connection": "close", **fields})
    got = http.client.HTTPResponse(connection, method=method)
    got.begin()
    answer = replace(answer, status=got.status, headers=_small(got))
    try:
        body = got.read()
    except http.client.IncompleteRead as error:
        return replace(answer, body=error.partial, error="the connection ended early")
    except TimeoutError:
        return replace(answer, error=f"the answer stopped for {SECONDS:.0f} s")
    return replace(answer, body=body)


def _send(connection: socket.socket, method: str, target: str, fields: Mapping[str, str]) -> None:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    connection.sendall("\r\n".join(lines).encode("latin-1"))


def _small(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}
