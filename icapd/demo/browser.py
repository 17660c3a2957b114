"""Headless Chromium behind the lab's proxy, in a profile of its own which trusts one CA.

It is told what to do over a pair of pipes (Chrome DevTools Protocol, --remote-debugging-pipe): no port is
opened, and nothing but the profile's directory is touched.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
    "--disable-extensions", "--disable-default-apps", "--metrics-recording-only", "--hide-scrollbars",
    "--window-size=900,700", "--remote-debugging-pipe",
)  # fmt: skip
_PATIENCE = 30.0  # s for one command, or a page to load
_FREE = 10  # file descriptors from here on are no standard ones
_PIECE = 65_536


@dataclass(frozen=True, slots=True)
class Shown:
    """What a navigation ended at. `security` is "secure" where no warning is due; `issuer` signed it.

    `status` is 0 and `error` says why where nothing was shown but the browser's own error page.
    """

    url: str
    status: int
    security: str
    issuer: str
    error: str


def browser_programs() -> tuple[str, str] | None:
    """Return Chromium and certutil, or None if one of them is not installed."""
    programs = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("certutil")
    return (programs[0], programs[1]) if programs[0] and programs[1] else None


class Browser:
    """One browser with one tab; a context which ends it with all that it started.

    `home` is a directory that may be filled; `trust` a CA's certificate. Entering raises IcapdError if the
    browser does not start, every other method if it does not answer.
    """

    def __init__(self, home: Path, *, proxy: str, trust: Path) -> None:
        self._home = home
        self._proxy = proxy
        self._trust = trust
        self._pid = 0
        self._read = self._write = -1
        self._buffer = b""
        self._last = 0
        self._session = ""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        programs = browser_programs()
        if programs is None:
            raise IcapdError("chromium or certutil (Debian: libnss3-tools) is not installed")
        try:
            self._start(*programs)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self, chromium: str, certutil: str) -> None:
        store = self._home / ".pki" / "nssdb"
        store.mkdir(parents=True, exist_ok=True)
        trust = ["-A", "-t", "C,,", "-n", "icapd", "-i", str(self._trust)]
        for arguments in (["-N", "--empty-password"], trust):
            subprocess.run([certutil, "-d", f"sql:{store}", *arguments], check=True, capture_output=True)
        theirs_in, self._write = _pipe()
        self._read, theirs_out = _pipe()
        command = [
            chromium,
            *_FLAGS,
            f"--user-data-dir={self._home}/profile",
            f"--proxy-server={self._proxy}",
        ]
        null = os.open(os.devnull, os.O_RDWR)
        given = zip(
            (null, null, null, theirs_in, theirs_out), range(5), strict=True
        )  # 3 and 4: as it expects
        try:
            self._pid = os.posix_spawn(
                chromium,
                [*command, "about:blank"],
                os.environ | {"HOME": str(self._home)},
                file_actions=[(os.POSIX_SPAWN_DUP2, ours, theirs) for ours, theirs in given],
                setsid=True,
            )
        finally:
            for descriptor in (null, theirs_in, theirs_out):
                os.close(descriptor)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Accessibility"):
            self.call(f"{domain}.enable")

    def _stop(self) -> None:
        if self._pid:
            with contextlib.suppress(ProcessLookupError):  # with all that it started
                os.killpg(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0
        for descriptor in (self._read, self._write):
            if descriptor >= 0:
                os.close(descriptor)
        self._read = self._write = -1

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send one command of the DevTools protocol and return its result; events met are kept."""
        self._last += 1
        message: dict[str, object] = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + _PATIENCE
        while True:
            got = self._receive(until, method)
            if got.get("id") != self._last:
                self.events.append(got)
            elif "error" in got:
                raise IcapdError(f"chromium: {method}: {got['error'].get('message')}")
            else:
                result: dict[str, Any] = got["result"]
                return result

    def _receive(self, until: float, wanted: str) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, until - time.monotonic()))
            piece = os.read(self._read, _PIECE) if ready else b""
            if not piece:
                raise IcapdError(f"chromium {'has ended' if ready else 'does not answer'} ({wanted})")
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        got: dict[str, Any] = json.loads(message)
        return got

    def open(self, url: str) -> Shown:
        """Navigate to `url` as a person does, wait until all is loaded, and tell what came of it."""
        self.events.clear()
        begun = self.call("Page.navigate", url=url)
        frame, loader, error = begun["frameId"], begun.get("loaderId"), begun.get("errorText", "")
        until = time.monotonic() + _PATIENCE
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive(until, url))
        for event in reversed(self.events):
            if event.get("method") != "Network.responseReceived":
                continue
            about = event["params"]
            if about["type"] == "Document" and about.get("frameId") == frame and about["loaderId"] == loader:
                response = about["response"]
                issuer = (response.get("securityDetails") or {}).get("issuer", "")
                return Shown(response["url"], response["status"], response["securityState"], issuer, error)
        return Shown(url, 0, "unknown", "", error or "no response")

    def evaluate(self, script: str) -> Any:  # noqa: ANN401  (whatever the script gives)
        """Return the JSON value of a JavaScript expression in the page; a promise is waited for."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise IcapdError(f"chromium: {done['exceptionDetails'].get('text')}: {script}")
        return done["result"].get("value")

    def accessibility(self) -> tuple[tuple[str, str], ...]:
        """Return role and name of every node that a screen reader is told of, in order."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return tuple(
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored")
        )

    def screenshot(self, path: Path) -> Path:
        """Write what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
        return path


def _pipe() -> tuple[int, int]:
    """Return reading and writing end, both above the numbers that are given to Chromium."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FREE) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
