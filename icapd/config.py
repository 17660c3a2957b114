"""icapd.yaml as frozen values: every option once, with its type, default and one line of description.

Only `listen` and `policy` must be given. Relative paths are relative to the file. The
descriptions are what `icapd check` prints beside each value (render_config).
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from icapd.errors import ConfigError, ConfigErrors
from icapd.source import read_document, validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

    from icapd.source import Document

_Model = TypeVar("_Model", bound=BaseModel)
_Item = TypeVar("_Item")

_LISTEN = re.compile(r"(icaps?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?/?")
_ICAP_URL = re.compile(r"icaps?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
_SQUID_ADDRESS = re.compile(r"(?:(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):)?(\d{1,5})")
_DEFAULT_PORTS = {"icap": 1344, "icaps": 11344}  # Squid's defaults for the two schemes
_MAX_PORT = 65535
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104  (how Squid beside us reaches it)


@dataclass(frozen=True, slots=True)
class Listen:
    """One address icapd listens on; `host` without brackets, `port` 0 for any free one, `text` as given."""

    scheme: Literal["icap", "icaps"]
    host: str
    port: int
    text: str


def _listen(value: object) -> Listen:
    if isinstance(value, Listen):
        return value
    match = _LISTEN.fullmatch(str(value))
    if match is None or int(match[3] or 0) > _MAX_PORT:
        msg = "not icap://HOST[:PORT] or icaps://HOST[:PORT], PORT at most 65535"
        raise ValueError(msg)
    scheme: Literal["icap", "icaps"] = "icaps" if match[1] == "icaps" else "icap"
    port = int(match[3]) if match[3] else _DEFAULT_PORTS[scheme]
    return Listen(scheme, match[2].strip("[]"), port, str(value))


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


def _not_empty(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    if not items:
        msg = "must not be empty"
        raise ValueError(msg)
    return items


def _standard_output(value: object) -> object:
    return None if value == "-" else value


def _file(path: Path) -> Path:
    if path == Path() or re.search(r"[\x00-\x1f]", str(path)):
        msg = "not a file name"
        raise ValueError(msg)
    return path


def _one_word_path(path: Path) -> Path:
    _one_word(str(path))
    return path


Network = Annotated[str, PlainValidator(_network)]
File = Annotated[Path, AfterValidator(_file)]
SquidPath = Annotated[Path, AfterValidator(_file), AfterValidator(_one_word_path)]
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]


class _Options(BaseModel):
    """A group of options: unknown names are errors, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tls(_Options):
    """What an icaps:// listener shows its clients and asks of them."""

    certificate: File = Field(description="PEM, the server's first, then its chain")
    key: File = Field(description="PEM private key of the certificate")
    client_ca: File | None = Field(
        default=None, description="PEM; clients must then show a certificate of this CA"
    )


class ServiceOptions(_Options):
    """What OPTIONS offers to ICAP clients."""

    preview: int = Field(default=1024, ge=0, le=65536, description="bytes of a body the client sends ahead")
    options_ttl: int = Field(
        default=3600, ge=60, le=86400, description="s until the client asks OPTIONS again"
    )


class Limits(_Options):
    """Bounds on what one client or all of them can take; times in seconds, sizes in bytes."""

    connections: int = Field(default=4000, ge=1, le=1_000_000, description="at a time; more are answered 503")
    head: Seconds = Field(default=10.0, description="s for a request head to arrive whole")
    body: Seconds = Field(default=20.0, description="s without one byte of a body")
    idle: float = Field(
        default=600.0, gt=60, le=86400, description="s between requests (Squid keeps idle ones 60 s)"
    )
    drain: Seconds = Field(default=30.0, description="s to finish what is under way at SIGTERM")
    body_bytes: int = Field(default=0, ge=0, description="of one body; 0 is unlimited")
    linger: Seconds = Field(
        default=2.0, description="s to read on before a connection is closed, so no RST eats the answer"
    )


class SquidPort(_Options):
    """One http_port of Squid."""

    address: Annotated[str, AfterValidator(_squid_address)] = Field(description="PORT or ADDRESS:PORT")
    bump: bool = Field(default=False, description="decrypt HTTPS on this port (ssl-bump)")


class SquidSettings(_Options):
    """What `icapd squid-conf` writes into Squid's configuration."""

    version: Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")] = Field(
        default="5.7", description="the oldest Squid to write for"
    )
    icap: Annotated[str, AfterValidator(_icap_url)] = Field(
        default="icap://127.0.0.1:1344",
        description="where Squid finds icapd; unless given, the first icap:// of listen",
    )
    icap_ca: SquidPath | None = Field(
        default=None, description="PEM; CA of icapd's certificate, for an icaps:// unknown to the system"
    )
    ports: Annotated[tuple[SquidPort, ...], AfterValidator(_not_empty)] = Field(
        default=(SquidPort(address="3128", bump=True),), description="where Squid listens for its clients"
    )
    clients: tuple[Network, ...] = Field(
        default=("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128"),
        description="who may use Squid",
    )
    ca: SquidPath = Field(
        default=Path("ca/bump.pem"), description="bump CA, certificate and key (icapd ca create writes it)"
    )
    certgen: SquidPath = Field(
        default=Path("/usr/lib/squid/security_file_certgen"), description="Squid's certificate maker"
    )
    ssl_db: SquidPath = Field(
        default=Path("/var/spool/squid/ssl_db"), description="database of the certificate maker"
    )
    error_directory: SquidPath | None = Field(
        default=None,
        description="where Squid will find icapd's error pages; unless given, beside the fragment",
    )
    origin_ca: SquidPath | None = Field(
        default=None, description="PEM; further CAs that origins may be signed by"
    )
    allow_origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = Field(
        default=(), description="ADDRESS:PORT to reach although on loopback, link-local or an unusual port"
    )


class Options(_Options):
    """The whole of icapd.yaml."""

    listen: Annotated[tuple[Annotated[Listen, PlainValidator(_listen)], ...], AfterValidator(_not_empty)] = (
        Field(description="addresses to answer ICAP on")
    )
    policy: File = Field(description="the rules")
    page: File | None = Field(default=None, description="block page template; unless given, the built-in one")
    decisions: Annotated[File | None, BeforeValidator(_standard_output)] = Field(
        default=None, description="file for one line per decision; - is standard output"
    )
    control: File | None = Field(default=None, description="Unix socket for `icapd reload`")
    peers: tuple[Network, ...] = Field(default=("127.0.0.0/8", "::1/128"), description="who may connect")
    tls: Tls | None = Field(default=None, description="certificate and key for icaps://")
    service: ServiceOptions = ServiceOptions()
    limits: Limits = Limits()
    squid: SquidSettings = SquidSettings()


class Config(Options):
    """A loaded icapd.yaml; `file` is where it was read. All paths can be opened from any directory."""

    file: Path


def load_config(path: Path) -> Config:
    """Read icapd.yaml. Raises ConfigErrors with every fault as `file:line: message`."""
    document = read_document(path)
    options = validate(document, Options)
    if errors := _contradictions(document, options):
        raise ConfigErrors(errors)
    squid = options.squid
    plain = next((listen for listen in options.listen if listen.scheme == "icap"), options.listen[0])
    if "icap" not in squid.model_fields_set:
        squid = squid.model_copy(update={"icap": _reachable(plain)})
    values = {name: getattr(options, name) for name in Options.model_fields} | {"squid": squid}
    return _resolved(Config(file=path, **values), path.absolute().parent)


def _contradictions(document: Document, options: Options) -> list[ConfigError]:
    """Find what each option alone allows, but not both together."""
    errors = []
    seen: dict[tuple[str, int], str] = {}
    for i, listen in enumerate(options.listen):
        line = document.where(("listen", i))
        if listen.scheme == "icaps" and options.tls is None:
            errors.append(ConfigError(document.file, line, f"{listen.text} needs tls: {{certificate, key}}"))
        key = (listen.host, listen.port)
        if listen.port and key in seen:
            errors.append(
                ConfigError(document.file, line, f"{listen.text} is the same address as {seen[key]}")
            )
        seen[key] = listen.text
    return errors


def _reachable(listen: Listen) -> str:
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    return f"{listen.scheme}://{_ANY_ADDRESS.get(host, host)}:{listen.port}"


def _resolved(options: _Model, base: Path) -> _Model:
    """Make every path of `options`, however deep, absolute: relative ones start at `base`."""
    update: dict[str, object] = {}
    for name, value in options:
        if isinstance(value, Path):
            update[name] = base / value
        elif isinstance(value, BaseModel):
            update[name] = _resolved(value, base)
    return options.model_copy(update=update)


def render_config(config: Config) -> str:
    """Return every option with its value, default or not, as YAML that load_config reads back."""
    lines = [f"# {config.file}: every option, as it is in force"]
    lines += _rendered(config, Options.model_fields, "")
    return "\n".join(lines) + "\n"


def _rendered(options: BaseModel, fields: Mapping[str, FieldInfo], indent: str) -> list[str]:
    lines = []
    for name, field in fields.items():
        value = getattr(options, name)
        note = f"  # {field.description}" if field.description else ""
        if isinstance(value, BaseModel):
            lines.append(f"{indent}{name}:{note}")
            lines += _rendered(value, type(value).model_fields, indent + "  ")
        elif value is None:
            lines.append(f"{indent}# {name}: not set{note}")
        else:
            lines.append(f"{indent}{name}: {_flow(value)}{note}")
    return lines


def _flow(value: object) -> str:
    """One value as YAML flow text."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else str(value)
        case Listen():
            return json.dumps(value.text, ensure_ascii=False)
        case BaseModel():
            return "{" + ", ".join(f"{name}: {_flow(item)}" for name, item in value) + "}"
        case tuple():
            return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(str(value), ensure_ascii=False)
