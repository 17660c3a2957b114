"""Where the doctor works: what is configured, how to get at it, and what all probes share."""

from __future__ import annotations

import contextlib
import ssl
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from icapd.doctor.client import Answer, ask
from icapd.doctor.control import say
from icapd.doctor.origin import Origin, own_address
from icapd.errors import IcapdError
from icapd.pki import trusted_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from icapd.config import Config

_PROBE = "X-Icapd-Probe"
BLOCKED, MOVED = "blocked.icapd-doctor.invalid", "moved.icapd-doctor.invalid"
HERE = "https://here.icapd-doctor.invalid/?from="
_AUTHENTICATE = 407


@dataclass(frozen=True, slots=True)
class Where:
    """What is looked at: icapd.yaml, Squid's program (None: not here) and its whole configuration."""

    config: Config
    squid: str | None
    squid_conf: Path
    credentials: str = ""  # NAME:PASSWORD, for a Squid that asks for them


class Bench:
    """Used as a context: the doctor's own web server runs meanwhile."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self.config = where.config
        self.origin: Origin | None = None
        self.no_token = ""  # why there is none
        self._token = ""

    def __enter__(self) -> Self:
        address = own_address()
        if address is not None:
            with contextlib.suppress(OSError):
                self.origin = Origin(address)
        if self.config.control is None:
            self.no_token = f"{self.config.file} names no `control` socket"
            return self
        try:
            self._token = str(say(self.config.control, command="probe")["token"])
        except IcapdError as error:
            self.no_token = str(error)
        return self

    def __exit__(self, *_: object) -> None:
        if self.origin is not None:
            self.origin.stop()

    @property
    def proxy(self) -> tuple[str, int] | None:
        """The port that clients know of, one with ssl-bump if there is one; None if all intercept."""
        forward = [port for port in self.config.squid.ports if not port.intercepts]
        for port in sorted(forward, key=lambda port: not port.bump):
            host, _, number = port.address.rpartition(":")
            host = host.strip("[]")
            return ("127.0.0.1" if host in {"", "0.0.0.0"} else "::1" if host == "::" else host), int(number)  # noqa: S104
        return None

    @property
    def bumps(self) -> bool:
        """Whether that port decrypts."""
        return any(port.bump and not port.intercepts for port in self.config.squid.ports)

    def get(self, url: str, fields: Mapping[str, str] | None = None) -> Answer:
        """Ask for `url` through Squid, as a probe."""
        return ask(self._proxy, url, self._fields(fields))

    def inside(self, host: str, port: int = 443) -> Answer:
        """Ask for / of `host` in a tunnel whose CONNECT is the probe, trusting the bump CA alone."""
        context = ssl.create_default_context(cafile=str(self.trusted))
        return ask(self._proxy, "/", self._fields(None), tunnel=f"{host}:{port}", trust=context)

    def seen(self) -> list[dict[str, str]]:
        """What icapd saw of this doctor's probes so far, oldest first. Raises IcapdError."""
        if self.config.control is None:
            return []
        told: list[dict[str, str]] = say(self.config.control, command="probed", token=self._token)["seen"]
        return told

    @property
    def trusted(self) -> Path:
        """The certificate that clients trust. Raises IcapdError if there is none."""
        ca = self.config.squid.ca
        paths = trusted_of(ca)
        if not paths:
            raise IcapdError(f"{ca}: no certificate of a CA beside it; `icapd ca create` makes both")
        return paths[0]

    @property
    def _proxy(self) -> tuple[str, int]:
        if self.proxy is None:
            raise IcapdError("no port of Squid's is for clients that know of it: all intercept")
        return self.proxy

    def _fields(self, fields: Mapping[str, str] | None) -> dict[str, str]:
        out = {"User-Agent": "icapd-doctor", "Accept": "text/html", "Sec-Fetch-Dest": "document"}
        if self._token:
            out[_PROBE] = self._token
        if self.where.credentials:
            out["Proxy-Authorization"] = "Basic " + b64encode(self.where.credentials.encode()).decode()
        return out | dict(fields or {})


def unexpected(answer: Answer) -> tuple[str, str]:
    """Say in words what came in place of what was expected, and how to mend what is likely the cause."""
    if _AUTHENTICATE in (answer.status, answer.connect):
        return (
            "Squid asks for a name and a password",
            "--credentials FILE (one line, NAME:PASSWORD)",
        )
    if answer.squid_error == "ERR_ICAP_FAILURE":
        return (
            "Squid gets no answer from icapd (ERR_ICAP_FAILURE)",
            "is icapd running, and squid.icap of icapd.yaml the address it listens on? See Squid's cache.log",
        )
    if answer.squid_error == "ERR_ACCESS_DENIED":
        return (
            "Squid denies it by a rule of its own (ERR_ACCESS_DENIED)",
            "let this machine in: squid.clients of icapd.yaml, and http_access lines before the include",
        )
    if answer.squid_error:
        return f"Squid answers {answer.squid_error}", "see Squid's cache.log and access.log"
    if not answer.status:
        what = f"CONNECT {answer.connect}, then: " if answer.connect else ""
        return f"{what}{answer.error or 'no answer'}", "see Squid's cache.log"
    return (
        f"the answer is {answer.status}, not icapd's",
        "include the fragment (icapd squid-conf)",
    )


def as_seen(records: list[dict[str, Any]], point: str) -> list[dict[str, Any]]:
    """Those of one point, "reqmod" or "respmod"."""
    return [record for record in records if record["point"] == point]
