"""Kinds of values in icapd.yaml: each refuses what is none, in a line that says what would be one."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    RootModel,
    model_validator,
)

from icapd.verdicts import CONTENT

_Item = TypeVar("_Item")

_LISTEN = re.compile(r"(icaps?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?/?")
_SYSTEMD = re.compile(r"systemd(?:\+(icaps?))?:([A-Za-z0-9._-]{1,255})")
_CREDENTIAL = re.compile(r"credential:([A-Za-z0-9._-]{1,255})")
_CREDENTIALS = "/run/credentials/icapd.service"  # where systemd puts them, for who is not started by it
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (how Squid beside us reaches it)
_ICAP_URL = re.compile(r"icaps?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
_SQUID_ADDRESS = re.compile(r"(?:(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):)?(\d{1,5})")
_DEFAULT_PORTS = {"icap": 1344, "icaps": 11344}  # Squid's defaults for the two schemes
_MAX_PORT = 65535
_LDAP_URL = re.compile(r"(ldaps?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?/?")
_LDAP_PORTS = {"ldap": 389, "ldaps": 636}
_ADAPTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")  # RFC 9110 §5.1


@dataclass(frozen=True, slots=True)
class Listen:
    """One address icapd listens on; `host` without brackets, `port` 0 for any free one, `text` as given.

    With `socket` systemd listens, at sockets of this name; `host` and `port` are then where clients are
    expected to find it.
    """

    scheme: Literal["icap", "icaps"]
    host: str
    port: int
    text: str
    socket: str = ""

    @property
    def place(self) -> tuple[str, int]:
        """What no two may have in common; port 0 may be asked for often."""
        return (f"systemd:{self.socket}", 1) if self.socket else (self.host, self.port)

    @property
    def url(self) -> str:
        """Where a client on this machine finds it."""
        host = _ANY_ADDRESS.get(self.host, self.host)
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def found_at(self, url: str) -> Listen:
        """Return the same, which clients find at `url`, if it is systemd's and of this scheme."""
        at = _LISTEN.fullmatch(url)
        if not self.socket or at is None or at[1] != self.scheme:
            return self
        return replace(self, host=at[2].strip("[]"), port=int(at[3] or _DEFAULT_PORTS[self.scheme]))


def _listen(value: object) -> Listen:
    if isinstance(value, Listen):
        return value
    if (match := _SYSTEMD.fullmatch(str(value))) is not None:
        held: Literal["icap", "icaps"] = "icaps" if match[1] == "icaps" else "icap"
        return Listen(held, "127.0.0.1", _DEFAULT_PORTS[held], str(value), match[2])
    match = _LISTEN.fullmatch(str(value))
    if match is None or int(match[3] or 0) > _MAX_PORT:
        msg = "not icap://HOST[:PORT], icaps://HOST[:PORT] or systemd:NAME, PORT at most 65535"
        raise ValueError(msg)
    scheme: Literal["icap", "icaps"] = "icaps" if match[1] == "icaps" else "icap"
    port = int(match[3]) if match[3] else _DEFAULT_PORTS[scheme]
    return Listen(scheme, match[2].strip("[]"), port, str(value))


def _workers(value: object) -> object:
    return len(os.sched_getaffinity(0)) if value == "auto" else value


def _network(value: object) -> str:
    try:
        return str(ipaddress.ip_network(str(value)))
    except ValueError as error:
        msg = f"not an address or network such as 10.0.0.0/8 ({error})"
        raise ValueError(msg) from None


def _icap_url(text: str) -> str:
    if _ICAP_URL.fullmatch(text) is None:
        msg = "not icap://HOST[:PORT], without a path"
        raise ValueError(msg)
    return text


def _squid_address(text: str) -> str:
    match = _SQUID_ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[1]) <= _MAX_PORT:
        msg = "not PORT or ADDRESS:PORT"
        raise ValueError(msg)
    return text


def _origin(text: str) -> str:
    host, _, port = text.rpartition(":")
    try:
        ipaddress.ip_network(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        host = ""
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) <= _MAX_PORT:
        msg = "not ADDRESS:PORT or NETWORK:PORT, such as 127.0.0.1:8080 or [::1]:8080"
        raise ValueError(msg)
    return text


def _one_word(text: str) -> str:
    """Refuse what would begin something else in squid.conf, where these values go."""
    if re.search(r"[\s\"'#\\\x00-\x1f]", text):
        msg = "may hold no space, quote, backslash, # or control character"
        raise ValueError(msg)
    return text


@dataclass(frozen=True, slots=True)
class Server:
    """Where a directory answers; `host` without brackets, `text` as given."""

    scheme: Literal["ldap", "ldaps"]
    host: str
    port: int
    text: str


def _server(value: object) -> Server:
    if isinstance(value, Server):
        return value
    match = _LDAP_URL.fullmatch(str(value))
    if match is None or not 0 < int(match[3] or 1) <= _MAX_PORT:
        raise ValueError("not ldap://HOST[:PORT] or ldaps://HOST[:PORT]")
    scheme: Literal["ldap", "ldaps"] = "ldaps" if match[1] == "ldaps" else "ldap"
    port = int(match[3]) if match[3] else _LDAP_PORTS[scheme]
    return Server(scheme, match[2].strip("[]"), port, str(value))


def _field_name(text: str) -> str:
    if _FIELD_NAME.fullmatch(text) is None:
        raise ValueError("not a header's name")
    return text


def _group_name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("not a group's name")
    return text


def _adapter_name(text: str) -> str:
    if _ADAPTER_NAME.fullmatch(text) is None or text == CONTENT:
        raise ValueError(f"not a name of letters, digits, '.', '_' and '-', other than {CONTENT}")
    return text


def _acl(text: str) -> str:
    """Take the type and arguments of one ACL of squid.conf; an argument in double quotes is a file's name."""
    kind, *arguments = text.split(" ")
    if re.fullmatch(r"[a-z_]+(::[a-z_]+)?", kind) is None or not all(arguments) or not arguments:
        raise ValueError("not the type and arguments of an ACL, such as `external ldap_group Staff`")
    for argument in arguments:
        _one_word(argument[1:-1] if re.fullmatch(r'"/[^"]*"', argument) else argument)
    return text


def not_empty(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    """Refuse a list of nothing."""
    if not items:
        msg = "must not be empty"
        raise ValueError(msg)
    return items


def standard_output(value: object) -> object:
    """Take - for None, which stands for it."""
    return None if value == "-" else value


def _file(path: Path) -> Path:
    if (match := _CREDENTIAL.fullmatch(str(path))) is not None:
        return Path(os.environ.get("CREDENTIALS_DIRECTORY", _CREDENTIALS)) / match[1]
    if str(path).startswith("credential:"):
        raise ValueError("not credential:NAME, as in LoadCredential=NAME:…")
    if path == Path() or re.search(r"[\x00-\x1f]", str(path)):
        msg = "not a file name"
        raise ValueError(msg)
    return path


def _one_word_path(path: Path) -> Path:
    _one_word(str(path))
    return path


ListenAddress = Annotated[Listen, PlainValidator(_listen)]
LdapServer = Annotated[Server, PlainValidator(_server)]
Network = Annotated[str, PlainValidator(_network)]
IcapUrl = Annotated[str, AfterValidator(_icap_url)]
SquidAddress = Annotated[str, AfterValidator(_squid_address)]
Origin = Annotated[str, AfterValidator(_origin)]
FieldName = Annotated[str, AfterValidator(_field_name)]
GroupName = Annotated[str, AfterValidator(_group_name)]
Acl = Annotated[str, AfterValidator(_acl)]
File = Annotated[Path, AfterValidator(_file)]
SquidWord = Annotated[str, Field(min_length=1), AfterValidator(_one_word)]
SquidPath = Annotated[Path, AfterValidator(_file), AfterValidator(_one_word_path)]
Workers = Annotated[
    int,
    BeforeValidator(_workers),
    Field(ge=1, le=256, description="processes that serve; `auto` is one per core this one may use"),
]
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]


class Options(BaseModel):
    """Some options together: unknown names are errors, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ContentSettings(Options):
    """Bounds on what inspecting one body may take: what decodes, unpacks and looks inside."""

    max_body: int = Field(default=100 << 20, ge=1, description="bytes of a body that is inspected")
    unpacked: int = Field(default=400 << 20, ge=1, description="bytes that may come out of one body in all")
    ratio: int = Field(default=250, ge=2, description="times its size that anything may unpack to, beyond")
    spared: int = Field(default=16 << 20, ge=0, description="bytes that may exceed the ratio in all")
    members: int = Field(default=10_000, ge=1, le=100_000, description="parts of containers in one body")
    depth: int = Field(default=16, ge=1, le=64, description="containers inside each other")
    codings: int = Field(default=4, ge=1, le=16, description="layers of Content-Encoding")
    seconds: Seconds = Field(default=10.0, description="s for one body")
    children: int = Field(default=0, ge=0, le=256, description="processes that inspect; 0 is one per core")
    memory: int = Field(default=512 << 20, ge=128 << 20, description="bytes each of them may address")
    waiting: int = Field(default=1000, ge=1, description="bodies that may wait for one of them")
    directory: File | None = Field(
        default=None, description="where what was unpacked lies, unlinked; unless given, the system's"
    )


class CacheOptions(Options):
    """How much is remembered of what was scanned, and for how long."""

    entries: int = Field(
        default=100_000, ge=0, le=100_000_000, description="verdicts at most; 0 remembers none"
    )
    megabytes: int = Field(default=64, ge=1, le=1_000_000, description="of memory for them, about")
    clean_ttl: float = Field(
        default=3600.0, gt=0, le=604_800, description="s for which content is known to be clean"
    )
    found_ttl: float = Field(
        default=86400.0, gt=0, le=604_800, description="s for which it is known what was found in content"
    )


class AdapterText(BaseModel):
    """What every adapter can be told; what else stands there are options of its own."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: Annotated[str, AfterValidator(_adapter_name)] | None = Field(
        default=None, description="what rules and the log call it; unless given, as what it is"
    )
    on_error: Literal["open", "closed"] = Field(
        default="closed",
        description="a message it could not look at is let through (open) or blocked",
    )
    timeout: float = Field(
        default=30.0, gt=0, le=50, allow_inf_nan=False, description="s for one message; Squid waits 60 s"
    )


class AdapterEntry(RootModel[dict[str, AdapterText]]):
    """One entry of `adapters`: {KIND: {…}}, or KIND alone."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        if isinstance(value, str):
            return {value: {}}
        return {key: one or {} for key, one in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one(self) -> AdapterEntry:
        if len(self.root) != 1:
            raise ValueError("an entry is one adapter: - KIND: {…}")
        return self

    @property
    def kind(self) -> str:
        """What it is: the name of its entry point."""
        return next(iter(self.root))

    @property
    def text(self) -> AdapterText:
        """What stands there."""
        return self.root[self.kind]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.text.name or self.kind
