"""The process that follows the decision log and brings its records elsewhere: into the store, to syslog.

Plain blocking Python, one thread for each output with a position of its own, so that one that hangs delays no
other. Whoever started it tells by its standard input what it is to do, hears each second on its standard
output how far it is, and ends it by closing that input, be it by SIGKILL: then what is in the log is taken
to its end.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from icapd.events.follow import CHUNK, Follower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from icapd.events.follow import Position

POLL = 0.25  # s between two looks for more; what comes meanwhile is one batch
END = 5.0  # s that outputs have to take what is left
_REPORT = 1.0  # s
_BACKOFF = (0.5, 30.0)  # s before an output that failed is tried again, doubled each time
_FULL = CHUNK // 2  # bytes: a batch of that size, and the next is read at once
_NICE = 10
_PR_SET_NAME = 15


class OutputError(Exception):
    """An output cannot take records now: it is opened anew after a while, and goes on where it was."""


class Output(Protocol):
    """Takes the log's lines in their order. One thread calls its methods; any may raise OutputError."""

    name: str
    """For people: "store", or "syslog tls://siem.example:6514"."""
    at_end: bool
    """Whether, without a position, what the log holds already is not for it."""

    def open(self) -> Position | None:
        """Get ready; return how far it had come, None if this is the first time."""

    def take(self, lines: list[bytes], position: Position) -> None:
        """Take lines, without their ends, and remember `position`, where they end.

        Lines may be none: then only the position is new. After an OutputError it is asked for its position
        again, by `open`. May block for some seconds.
        """

    def rest(self) -> None:
        """Do what there is to do besides: called when nothing was to be read, and between batches."""

    def close(self) -> None:
        """Let go of what it holds."""


class Feed:
    """Brings the log at `log` to one output, in a thread of its own, until `stopping`."""

    def __init__(
        self,
        log: Path,
        output: Output,
        tell: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.output = output
        self.stopping = threading.Event()
        self.records = 0
        self.behind = 0  # bytes
        self.failed = ""
        self._log = log
        self._position: Position | None = None
        self._tell = tell
        self._clock = clock
        self._level = clock()  # when all there was had been taken
        self._looked = clock()

    def run(self) -> None:
        """Feed until `stopping` and all is taken, or it cannot be."""
        first, most = _BACKOFF
        delay = first
        while True:
            taken = self.records
            try:
                self._feed()
            except (OutputError, OSError) as error:
                self._failed(str(error))
            except Exception as error:  # noqa: BLE001  # another try may go better, and others must go on
                self._failed(f"unforeseen: {type(error).__name__}: {error}")
            else:
                return
            delay = first if self.records > taken else min(most, delay * 2)
            if self.stopping.wait(delay):
                return

    def status(self) -> dict[str, object]:
        """Return how far it is: bytes `behind`, and for how many seconds it has not been level (`lag`).

        `lost` are records that it could not be given, as far as it can tell.
        """
        return {
            "output": self.output.name,
            "records": self.records,
            "behind": self.behind,
            "lag": round(self._clock() - self._level, 3),
            "failed": self.failed,
            "lost": getattr(self.output, "lost", 0),
        }

    def _failed(self, why: str) -> None:
        with suppress(OSError):
            self.behind = Follower(self._log, self._position).behind()
        if why != self.failed:
            self._tell("error", f"{self.output.name}: {why}; records wait in the log")
        self.failed = why

    def _feed(self) -> None:
        position = self._position = self.output.open()
        follower = Follower(self._log, position, at_end=self.output.at_end)
        try:
            self._follow(follower)
        finally:
            follower.close()
            self.output.close()

    def _follow(self, follower: Follower) -> None:
        known = None
        while True:
            stopping = self.stopping.is_set()  # asked before reading: all that was written by then is read
            began = self._clock()
            lines = follower.read()
            for note in follower.notes:
                self._tell("warn", f"{self.output.name}: {note}")
            follower.notes.clear()
            position = follower.position
            if position is not None and (lines or (known is None and self.output.at_end)):
                self.output.take(lines, position)
                known = self._position = position
                self.records += len(lines)
                self._recovered()
            if not lines:
                self._level, self.behind = began, 0
            elif began - self._looked > _REPORT:
                self._looked, self.behind = began, follower.behind()
            self.output.rest()
            if stopping and not lines:
                return
            if sum(map(len, lines)) < _FULL and not stopping:
                self.stopping.wait(POLL)

    def _recovered(self) -> None:
        if self.failed:
            self._tell("info", f"{self.output.name}: goes on where it was")
        self.failed = ""


def collect(log: Path, outputs: Iterable[Output], order: int, report: int) -> None:
    """Feed all outputs until `order` (a descriptor) ends and they have taken all, for END s at most."""
    feeds = [Feed(log, output, tell) for output in outputs]
    threads = [threading.Thread(target=feed.run, name=feed.output.name, daemon=True) for feed in feeds]
    for thread in threads:
        thread.start()
    os.set_blocking(report, False)
    while not _has_ended(order, _REPORT):
        with suppress(OSError):  # nobody reads: the next one will do
            os.write(report, json.dumps([feed.status() for feed in feeds]).encode() + b"\n")
    for feed in feeds:
        feed.stopping.set()
    deadline = time.monotonic() + END
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    for feed, thread in zip(feeds, threads, strict=True):
        if thread.is_alive() or feed.failed:
            tell("warn", f"{feed.output.name}: what it has not taken waits in the log for the next start")


def _has_ended(descriptor: int, timeout: float) -> bool:
    """Wait for the end of what can be read, at most `timeout` s."""
    return bool(select.select([descriptor], [], [], timeout)[0]) and not os.read(descriptor, 4096)


def outputs_of(order: dict[str, Any]) -> list[Output]:
    """Return the outputs that an order asks for: {"store": {…} or None, "syslog": [{…}, …]}."""
    from icapd.events.storing import StoreOutput  # noqa: PLC0415  # each knows this module

    found: list[Output] = []
    if order["store"] is not None:
        found.append(StoreOutput(**order["store"]))
    if order["syslog"]:
        from icapd.events.syslog import senders  # noqa: PLC0415

        found += senders(Path(order["log"]), order["syslog"])
    return found


def tell(level: str, text: str) -> None:
    """Write a line on standard error, as the process does that started this one."""
    with suppress(OSError, ValueError):  # nobody hears it
        sys.stderr.write(f"icapd: {level}: {text}\n")
        sys.stderr.flush()


def _line(descriptor: int) -> bytes:
    """Return one line, and read nothing beyond it."""
    line = b""
    while not line.endswith(b"\n") and (one := os.read(descriptor, 1)):
        line += one
    return line


def main() -> None:
    """Be the process: its order is one line of JSON, {"log": …} and what `outputs_of` reads."""
    for each in (
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGPIPE,
    ):
        signal.signal(each, signal.SIG_IGN)  # meant for who started it
    with suppress(OSError):  # the unit's filter of system calls may forbid it
        os.nice(_NICE)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NAME, b"icapd-collector", 0, 0, 0)
    order = json.loads(_line(sys.stdin.fileno()))
    collect(Path(order["log"]), outputs_of(order), sys.stdin.fileno(), sys.stdout.fileno())
    os._exit(0)  # whatever a thread still waits for
