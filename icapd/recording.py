"""Options on records of decisions: where they are kept, where they go, and what of them is withheld."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, PlainValidator

from icapd.errors import ConfigError
from icapd.options import File, Options, not_empty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.source import Document

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
_SYSLOG = re.compile(rf"(udp|tcp|tls)://{_HOST}(?::(\d{{1,5}}))?/?")
_PORTS = {"udp": 514, "tcp": 601, "tls": 6514}  # RFC 5426 §3.3, RFC 6587 §3.1 (IANA), RFC 5425 §4.1
_ADDRESS = re.compile(rf"{_HOST}:(\d{{1,5}})")
_MAX_PORT = 65535
_MIN_KEY = 16  # bytes
_MAX_KEY = 4096
_OTHERS = 0o007


@dataclass(frozen=True, slots=True)
class SyslogAddress:
    """A receiver of syslog; `host` without brackets, `text` as given."""

    scheme: Literal["udp", "tcp", "tls"]
    host: str
    port: int
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens; `host` without brackets, `port` 0 for any free one, `text` as given."""

    host: str
    port: int
    text: str

    def __str__(self) -> str:
        return self.text


def _syslog(value: object) -> SyslogAddress:
    if isinstance(value, SyslogAddress):
        return value
    match = _SYSLOG.fullmatch(str(value))
    if match is None or not 0 < int(match[3] or 1) <= _MAX_PORT:
        raise ValueError("not udp://HOST[:PORT], tcp://HOST[:PORT] or tls://HOST[:PORT]")
    scheme: Literal["udp", "tcp", "tls"] = "tls"
    if match[1] != "tls":
        scheme = "udp" if match[1] == "udp" else "tcp"
    return SyslogAddress(scheme, match[2].strip("[]"), int(match[3] or _PORTS[scheme]), str(value))


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    match = _ADDRESS.fullmatch(str(value))
    if match is None or int(match[2]) > _MAX_PORT:
        raise ValueError("not ADDRESS:PORT, such as 127.0.0.1:9136 or [::1]:9136")
    return Address(match[1].strip("[]"), int(match[2]), str(value))


SyslogReceiver = Annotated[SyslogAddress, PlainValidator(_syslog)]
MetricsAddress = Annotated[Address, PlainValidator(_address)]
Facility = Literal[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip
RecordedAction = Literal["allow", "block", "redirect", "bypass", "refuse", "error"]


class SyslogOutput(Options):
    """One receiver of records by syslog, RFC 5424."""

    to: SyslogReceiver = Field(
        description="udp://HOST[:PORT] (514), tcp://HOST[:PORT] (601) or tls://HOST[:PORT] (6514)"
    )
    format: Literal["json", "squid", "cef", "leef", "ecs", "kwts"] = Field(
        default="json", description="of the messages"
    )
    facility: Facility = Field(default="local0", description="that the messages are of")
    actions: Annotated[tuple[RecordedAction, ...], AfterValidator(not_empty)] | None = Field(
        default=None, description="send only decisions of these actions; unless given, all records"
    )
    ca: File | None = Field(default=None, description="PEM; CA of the receiver; unless given, the system's")
    certificate: File | None = Field(
        default=None, description="PEM that icapd shows the receiver, its own first, then its chain"
    )
    key: File | None = Field(default=None, description="PEM private key of the certificate")


class EventOptions(Options):
    """What becomes of the decision log: the store that `icapd events` searches, syslog, what is withheld."""

    store: Literal["auto", "off"] | File = Field(
        default="auto", description="FILE, off, or auto: events.db beside the decision log, if that is a file"
    )
    days: float = Field(
        default=90.0,
        gt=0,
        le=36_500,
        allow_inf_nan=False,
        description="days that a record stays in the store",
    )
    megabytes: int = Field(
        default=1024, ge=1, le=10_000_000, description="that the store may take; the oldest records leave it"
    )
    syslog: tuple[SyslogOutput, ...] = Field(default=(), description="receivers of records")
    strip_query: bool = Field(default=False, description="record URLs without what follows the ?")
    anonymise: bool = Field(default=False, description="record networks (/24, /48) for clients")
    users: Literal["keep", "hash", "drop"] = Field(
        default="keep", description="record names of users, a keyed hash of each, or none"
    )
    user_key: File | None = Field(
        default=None, description="file with the secret for `hash`, 16 bytes or more; not for others to read"
    )

    def store_file(self, decisions: Path | None) -> Path | None:
        """Return the store that belongs to the decision log `decisions`; None if there is none."""
        if self.store == "off" or decisions is None:
            return None
        if isinstance(self.store, Path):
            return self.store
        is_file = decisions.is_file() or not decisions.exists()
        return decisions.with_name("events.db") if is_file else None


def policies_directory(store: Path) -> Path:
    """Return where the server puts policies for the store to take in."""
    return store.with_name(store.name + ".policies")


def event_contradictions(document: Document, events: EventOptions) -> Iterator[ConfigError]:
    """Yield what each option of `events` alone allows, but not both together."""
    if events.users == "hash" and events.user_key is None:
        yield document.error(("events", "users"), "hash needs user_key, a file with the secret")
    if events.user_key is not None and events.users != "hash":
        yield document.error(("events", "user_key"), "is for `users: hash` only")
    for i, output in enumerate(events.syslog):
        place = ("events", "syslog", i)
        for name in ("ca", "certificate", "key"):
            if output.to.scheme != "tls" and getattr(output, name) is not None:
                yield document.error((*place, name), f"is for tls:// only, not for {output.to.text}")
        if (output.certificate is None) is not (output.key is None):
            yield document.error(place, "certificate and key need each other")


def user_key(events: EventOptions) -> bytes:
    """Return the secret that names of users are hashed with, b"" if they are not. Raises ConfigError."""
    path = events.user_key
    if events.users != "hash" or path is None:
        return b""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            data = file.read(_MAX_KEY).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(path, 0, f"cannot be read: {error.strerror}") from error
    if mode & _OTHERS:
        raise ConfigError(path, 0, f"may be read by others (mode {mode:04o}): chmod 600 it")
    if len(data) < _MIN_KEY:
        raise ConfigError(path, 0, f"holds {len(data)} bytes; the key must have {_MIN_KEY} or more")
    return data
