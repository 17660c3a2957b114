"""Sends the decision log's records to a receiver of syslog, each at least once, in the log's order.

The collector reads the log for it, so a receiver that is down misses nothing that the log still holds. What
is sure to have arrived is kept in a file beside the log; after a broken connection, sending begins there.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from icapd.events.collector import OutputError, tell
from icapd.events.rfc5424 import STREAM_BYTES, UDP_BYTES, Form
from icapd.events.sent import Count, PositionFile, Reached, Window
from icapd.events.wires import Datagrams, Stream, reason_of, tls_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from icapd.events.follow import Position
    from icapd.events.wires import Wire

_GROUP = 64  # lines between two looks at how far the receiver is
_KEEP = 1.0  # s between two writes of the position
_SETTLED = 30.0  # s after which a gap that no line of the log explains is told of


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where records go, and how; plain values, for they are told to another process as JSON."""

    text: str
    scheme: Literal["udp", "tcp", "tls"]
    host: str
    port: int
    format: str = "json"
    facility: str = "local0"
    actions: tuple[str, ...] | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def read(cls, values: dict[str, Any]) -> Receiver:
        """Read what one of `events.syslog` is in JSON."""
        of = {name: value for name, value in values.items() if name not in {"to", "actions"}}
        actions = values["actions"]
        return cls(**values["to"], **of, actions=None if actions is None else tuple(actions))

    def form(self) -> Form:
        """Return how its messages are written."""
        return Form(self.format, self.facility, UDP_BYTES if self.scheme == "udp" else STREAM_BYTES)

    def connected(self, stalled: Callable[[bool], None]) -> Wire:
        """Return a way there. Raises OSError."""
        if self.scheme == "udp":
            return Datagrams(self.host, self.port)
        context = None
        if self.scheme == "tls":
            files = (None if name is None else Path(name) for name in (self.ca, self.certificate, self.key))
            context = tls_context(*files)
        return Stream(self.host, self.port, context, stalled)


class Sender:
    """An output of the collector: one receiver."""

    at_end = True

    def __init__(
        self, log: Path, receiver: Receiver, number: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`number` tells receivers with the same address apart."""
        self.name = f"syslog {receiver.text}"
        self.lost = 0
        digest = hashlib.blake2b(f"{receiver.text} {number}".encode(), digest_size=6).hexdigest()
        self._file = PositionFile(log.with_name(f"{log.name}.syslog-{digest}"))
        self._receiver = receiver
        self._form = receiver.form()
        self._clock = clock
        self._wire: Wire | None = None
        self._broken = False
        self._window = Window(0.0)
        self._arrived: Reached | None = None
        self._kept = -_KEEP
        self._unkept = self._told_unkept = False
        self._acknowledged = 0
        self._count = Count()
        self._gap = (0, 0.0)  # how many are missing, since when
        self._told = 0
        self._bad = 0

    def open(self) -> Position | None:
        """Return where sending goes on; connect, unless this is the first time."""
        self._arrived = self._arrived or self._file.read()
        if self._arrived is None:
            return None
        self._connect()
        self._count = self._arrived.count.copy()
        return self._arrived.position

    def take(self, lines: list[bytes], position: Position) -> None:
        """Send the records of lines that are for this receiver."""
        if self._arrived is None:  # from here on nothing is to be missed, whether somebody listens or not
            self._arrived = Reached(_positions(lines, position)[0], Count())
            self._keep()
        wire = self._wire or self._connect()
        ends = _positions(lines, position)[1:] or [position]
        try:
            for at in range(0, max(1, len(lines)), _GROUP):
                wire.send(list(self._messages(lines[at : at + _GROUP])))
                reached = Reached(ends[min(at + _GROUP, len(ends)) - 1], self._count.copy())
                self._window.sent(wire.sent, reached)
                self._settle(wire)
        except OSError as error:
            raise self._failed(error) from None

    def rest(self) -> None:
        """Look whether the receiver is still there, and how far it is."""
        if self._wire is not None:
            try:
                self._wire.look()
                self._settle(self._wire)
            except OSError as error:
                raise self._failed(error) from None
        self._tell_missing()

    def close(self) -> None:
        """End the connection in order; what was read until then need not be sent again."""
        wire, self._wire = self._wire, None
        if wire is not None and not self._broken:
            with suppress(OSError):
                self._settle(wire)
            if wire.finish():
                self._window.acknowledged(wire.sent, 0.0)
                self._arrived = self._window.arrived(float("inf")) or self._arrived
        elif wire is not None:
            wire.close()
        self._keep()

    def _connect(self) -> Wire:
        try:
            wire = self._receiver.connected(self._stalled)
        except OSError as error:
            raise OutputError(reason_of(error)) from None
        self._wire, self._broken, self._acknowledged = wire, False, 0
        self._window = Window(wire.doubt)
        return wire

    def _failed(self, error: OSError) -> OutputError:
        self._broken = True
        return OutputError(reason_of(error))

    def _stalled(self, stalled: bool) -> None:
        if stalled:
            tell("warn", f"{self.name}: takes nothing, though its machine answers; records wait in the log")
        else:
            tell("info", f"{self.name}: goes on")

    def _messages(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        actions = self._receiver.actions
        for line in lines:
            try:
                record: dict[str, Any] = json.loads(line)
                self._count.add(record)
                if actions is None or record.get("action") in actions:
                    yield self._form.message(record)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                if line:
                    self._bad += 1  # torn by a full disk, which the log tells of

    def _settle(self, wire: Wire) -> None:
        now = self._clock()
        known, self._acknowledged = self._acknowledged, wire.acknowledged()
        self._window.acknowledged(self._acknowledged, now)
        moves = self._acknowledged == wire.sent or self._acknowledged > known
        arrived = self._window.arrived(now) if moves else None
        if arrived is not None:
            self._arrived, self._unkept = arrived, True
        if self._unkept and now - self._kept >= _KEEP:
            self._keep()
        if wire.dropped:
            self.lost += wire.dropped
            tell("warn", f"{self.name}: {wire.dropped} messages were too long for the network and are lost")
            wire.dropped = 0

    def _keep(self) -> None:
        self._kept, self._unkept = self._clock(), False
        if self._arrived is None:
            return
        try:
            self._file.write(self._receiver.text, self._arrived)
        except OSError as error:
            if not self._told_unkept:
                text = f"{self._file.path} cannot be written: {error.strerror}; records may be sent again"
                tell("warn", f"{self.name}: {text}")
            self._told_unkept = True
        else:
            self._told_unkept = False

    def _tell_missing(self) -> None:
        """Tell of records that left the log before they were read, unless the log itself explains it."""
        missing, now = self._count.missing, self._clock()
        if missing != self._gap[0]:
            self._gap = (missing, now)
        new = missing - self._told
        if new > 0 and now - self._gap[1] >= _SETTLED:
            tell("warn", f"{self.name}: {new} records were gone from the log before they could be sent")
            self.lost += new
        if new < 0 or now - self._gap[1] >= _SETTLED:
            self._told = missing


def _positions(lines: list[bytes], position: Position) -> list[Position]:
    """Return where the first of these lines begins, and where each ends; `position` is the end of the last.

    A line that is alone may lack its end: then it seems to begin a byte early, at the end of an empty one.
    """
    offset, found = position.offset, [position]
    for line in reversed(lines):
        offset -= len(line) + 1
        found.append(replace(position, offset=max(0, offset)))
    return found[::-1]


def senders(log: Path, receivers: Iterable[dict[str, Any]]) -> list[Sender]:
    """Return the outputs to these receivers, each as `Receiver.read` takes it."""
    found: list[Sender] = []
    texts: list[str] = []
    for receiver in map(Receiver.read, receivers):
        found.append(Sender(log, receiver, texts.count(receiver.text)))
        texts.append(receiver.text)
    return found
