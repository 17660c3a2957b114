"""What systemd hands over, and what it wants to hear: sockets it holds for us, and how we are.

sd_listen_fds(3) and sd_notify(3), which need no library. A socket that systemd holds outlives us: who
connects while we restart waits in the kernel and is answered by the next process.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping

    from twisted.internet.defer import Deferred

    from icapd.options import Listen
    from icapd.server.reload import Reloaded

_FIRST = 3  # SD_LISTEN_FDS_START
_STATUS_SECONDS = 10.0  # between two status texts
_MAX_STATUS = 500  # characters
_UNNAMED = "unknown"  # what systemd calls a socket without FileDescriptorName= of a unit without a name


@dataclass(frozen=True, slots=True)
class Bound:
    """An address to serve; `held` is the listening socket, None if we are to bind our own."""

    listen: Listen
    held: socket.socket | None = None


def bound(listens: Iterable[Listen], environ: MutableMapping[str, str] = os.environ) -> list[Bound]:
    """Return what is to be served, with the sockets systemd holds, several where several have one name.

    Takes what it uses out of `environ`, so that no child takes it for its own. Raises IcapdError when
    a name has no socket, or a socket is none that ICAP can be asked on.
    """
    sockets = _inherited(environ)
    found: list[Bound] = []
    for listen in listens:
        if not listen.socket:
            found.append(Bound(listen))
            continue
        held = [each for name, each in sockets if name == listen.socket]
        if not held:
            raise IcapdError(f"listen {listen.text}: {_offered([name for name, _ in sockets])}")
        found += [_taken(listen, each) for each in held]
    return found


def _inherited(environ: MutableMapping[str, str]) -> list[tuple[str, socket.socket]]:
    texts = [environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")]
    pid, count = (int(text) if text.isascii() and text.isdigit() else 0 for text in texts[:2])
    if pid != os.getpid():
        return []  # none, or those of a process that started us
    names = texts[2].split(":") if texts[2] else []
    names += [_UNNAMED] * (count - len(names))
    found = []
    for number in range(count):
        os.set_inheritable(_FIRST + number, False)
        with suppress(OSError):  # not a socket: a file or pipe of another option of the unit
            found.append((names[number], socket.socket(fileno=_FIRST + number)))
    return found


def _offered(names: list[str]) -> str:
    if not names:
        return "no socket was handed over: start icapd by its icapd.socket, or listen at icap://HOST:PORT"
    others = ", ".join(sorted(set(names)))
    return f"systemd hands over no socket of that name, but {others} (FileDescriptorName= in icapd.socket)"


def _taken(listen: Listen, held: socket.socket) -> Bound:
    inet = held.family in {socket.AF_INET, socket.AF_INET6} and held.type == socket.SOCK_STREAM
    if not inet or not held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise IcapdError(
            f"listen {listen.text}: not a listening TCP socket (ListenStream=ADDRESS:PORT, Accept=no)"
        )
    held.setblocking(False)
    host, port = held.getsockname()[:2]
    return Bound(replace(listen, host=host, port=port), held)


@dataclass(slots=True)
class Notifier:
    """Tells systemd how we are; without NOTIFY_SOCKET it tells nobody."""

    address: str = ""
    watched: bool = False  # systemd wants a sign of life
    _reloads: int = field(default=0, init=False)
    _told: float = field(default=float("-inf"), init=False)

    @classmethod
    def of(cls, environ: MutableMapping[str, str] = os.environ) -> Notifier:
        """Take what concerns us out of `environ`, so that no child speaks in our name."""
        address = environ.pop("NOTIFY_SOCKET", "")
        watched = environ.pop("WATCHDOG_USEC", "").isdigit()
        mine = environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return cls(address if address.startswith(("/", "@")) else "", watched and mine)

    def ready(self, status: str) -> None:
        """Connections are accepted."""
        self._tell("READY=1", f"STATUS={_line(status)}")

    def stopping(self) -> None:
        """No more connections are accepted; those at hand are finished."""
        self._tell("STOPPING=1", "STATUS=finishing what is under way")

    def alive(self, now: float, status: Callable[[], dict[str, object]]) -> None:
        """Called by the clock: a sign of life, and now and then how we are. `now` in seconds, monotonic."""
        if not self.address:
            return
        lines = ["WATCHDOG=1"] if self.watched else []
        if now - self._told >= _STATUS_SECONDS and not self._reloads:
            self._told = now
            lines.append(f"STATUS={_line(_serving(status()))}")
        if lines:
            self._tell(*lines)

    def reloading(self) -> None:
        """A reload has begun; `reloaded` must follow."""
        self._reloads += 1
        self._tell("RELOADING=1", "STATUS=reloading")

    def reloaded(self, status: str) -> None:
        """It has ended, well or not."""
        self._reloads -= 1
        self._told = float("-inf")
        if not self._reloads:
            self.ready(status)

    def _tell(self, *lines: str) -> None:
        if not self.address:
            return
        path = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.setblocking(False)
            link.sendto("\n".join(lines).encode(), path)


def _serving(status: dict[str, object]) -> str:
    """Return a line about `status` (that of the control socket) for `systemctl status`."""
    workers = status["workers"]
    asked = sum(each["requests"] for each in workers) if isinstance(workers, list) else 0
    return f"policy {status['digest']}, {status['connections']} connections, {asked} requests"


def _line(text: str) -> str:
    return " ".join(text.split())[:_MAX_STATUS]


class _Reloads(Protocol):
    def reload(self) -> Deferred[Reloaded]: ...


@dataclass(frozen=True, slots=True)
class Announced:
    """Reloads of `inner` that systemd hears of."""

    inner: _Reloads
    notifier: Notifier

    def reload(self) -> Deferred[Reloaded]:
        """Begin a reload; fires with how it ended."""
        self.notifier.reloading()
        return self.inner.reload().addBoth(self._ended)

    def _ended(self, result: Reloaded) -> Reloaded:
        problems = getattr(result, "problems", ("unforeseen",))
        said = f"policy {result.digest} serves" if not problems else f"reload refused: {problems[0]}"
        self.notifier.reloaded(said)
        return result
