"""The control socket: how `icapd reload` asks a running icapd, and hears how it went.

A Unix socket for its owner alone (mode 0600). One request a connection, one JSON object a line each
way: {"command": "reload"} gives {"ok": true, "digest": …, "changed": …, "problems": [], "notes": []},
{"command": "status"} what serves,
{"command": "probe"} a token for `icapd doctor`, {"command": "probed", "token": …} what was seen with it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from twisted.internet import error
from twisted.internet import reactor as _untyped_reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from pathlib import Path

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IListeningPort, IReactorUNIX, ITransport
    from twisted.internet.protocol import Protocol as TwistedProtocol
    from twisted.python.failure import Failure

    from icapd.server.reload import Reloaded

_reactor = cast("IReactorUNIX", _untyped_reactor)
_MAX_REQUEST = 1024  # bytes


class Reloads(Protocol):
    """Who reloads: one process, or a supervisor all of its workers."""

    def reload(self) -> Deferred[Reloaded]:
        """Begin; fires with how it ended."""
        ...


class Probing(Protocol):
    """Who gives out tokens for `icapd doctor`; now or later."""

    def issue(self) -> str | Deferred[str]:
        """Return a new token."""
        ...

    def seen(self, token: str) -> list[dict[str, str]] | Deferred[list[dict[str, str]] | None] | None:
        """Return what came with it; None if it is not good."""
        ...


Status = Callable[[], "dict[str, object]"]


class _Control(LineReceiver):
    """One connection of the control socket."""

    delimiter = b"\n"
    MAX_LENGTH = _MAX_REQUEST

    def __init__(self, reloader: Reloads, probes: Probing, status: Status) -> None:
        self._reloader = reloader
        self._probes = probes
        self._status = status

    def lineReceived(self, line: bytes) -> None:
        """Take the one request."""
        try:
            request = json.loads(line)
            command, token = request["command"], str(request.get("token", ""))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            command = token = None
        match command:
            case "reload":
                self._reloader.reload().addCallback(self._reloaded)
            case "probe":
                self._probe()
            case "probed":
                seen = maybeDeferred(self._probes.seen, token or "")
                seen.addCallback(lambda found: self._answer(ok=found is not None, seen=found or []))
            case "status":
                self._answer(ok=True, **self._status())
            case _:
                self._answer(ok=False, problems=['the request is not {"command": "reload"}'])

    def _probe(self) -> None:
        issued = maybeDeferred(self._probes.issue)
        issued.addCallbacks(lambda token: self._answer(ok=True, token=token), self._no_token)

    def _no_token(self, failure: Failure) -> None:
        failure.trap(IcapdError)
        self._answer(ok=False, problems=str(failure.value).splitlines())

    def _reloaded(self, result: Reloaded) -> None:
        self._answer(
            ok=not result.problems,
            digest=result.digest,
            changed=result.changed,
            problems=list(result.problems),
            notes=list(result.notes),
        )

    def _answer(self, **fields: object) -> None:
        wire = cast("ITransport", self.transport)
        wire.write(json.dumps(fields).encode("ascii") + b"\n")
        wire.loseConnection()


class _ControlFactory(Factory):
    noisy = False

    def __init__(self, reloader: Reloads, probes: Probing, status: Status) -> None:
        self._parts = (reloader, probes, status)

    def buildProtocol(self, addr: object) -> TwistedProtocol:
        """Serve whoever could open the socket: its mode has decided that."""
        del addr
        return _Control(*self._parts)


def listen_control(path: Path, reloader: Reloads, probes: Probing, status: Status) -> IListeningPort:
    """Listen at `path`. Raises IcapdError when that is impossible, or another icapd listens there."""
    _remove_stale(path)
    try:
        return _reactor.listenUNIX(str(path), _ControlFactory(reloader, probes, status), mode=0o600)
    except error.CannotListenError as failure:
        why = getattr(failure.socketError, "strerror", None) or str(failure.socketError)
        raise IcapdError(f"cannot listen on the control socket {path}: {why}") from None


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens on, as a killed process leaves it."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            return
        else:
            raise IcapdError(f"cannot listen on the control socket {path}: another icapd does")
