"""icapd.yaml as frozen values: every option once, with its type, default and one line of description.

Only `listen` and `policy` must be given. Relative paths are relative to the file. The
descriptions are what `icapd check` prints beside each value (render_config).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from icapd.bodies import DeliveryOptions, SpoolOptions
from icapd.errors import ConfigError, ConfigErrors
from icapd.facts import UserHeaders, user_headers
from icapd.options import (
    Acl,
    AdapterEntry,
    CacheOptions,
    ContentSettings,
    FieldName,
    File,
    GroupName,
    IcapUrl,
    LdapServer,
    Listen,
    ListenAddress,
    Network,
    Origin,
    Seconds,
    Server,
    SquidAddress,
    SquidPath,
    SquidWord,
    Workers,
    not_empty,
    standard_output,
)
from icapd.options import Options as _Options
from icapd.recording import EventOptions, MetricsAddress, event_contradictions
from icapd.source import read_document, validate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

    from icapd.source import Document

__all__ = [
    "Config",
    "ContentSettings",
    "LdapSettings",
    "Limits",
    "Listen",
    "SquidGroup",
    "SquidPort",
    "SquidSettings",
    "UserSettings",
    "load_config",
    "render_config",
]

_Model = TypeVar("_Model", bound=BaseModel)
_IN_BRACES = re.compile(r"\{([^}]*)\}")


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
    scan: Seconds = Field(default=50.0, description="s for one body; Squid gives up after 60")
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

    address: SquidAddress = Field(description="PORT or ADDRESS:PORT")
    bump: bool = Field(default=False, description="decrypt HTTPS on this port (ssl-bump)")
    mode: Literal["forward", "intercept", "tproxy"] = Field(
        default="forward",
        description="who brings connections here: clients that know of the proxy, or the network",
    )

    @property
    def intercepts(self) -> bool:
        """Whether the network brings connections here (with bump those of HTTPS, else those of HTTP)."""
        return self.mode != "forward"


class SquidGroup(_Options):
    """A group that Squid's own helpers know: Squid is asked about it, and tells icapd in a header."""

    name: GroupName = Field(description="what the policy calls it")
    acl: Acl = Field(description="type and arguments of the ACL that holds for its members")


class SquidSettings(_Options):
    """What `icapd squid-conf` writes into Squid's configuration."""

    version: Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")] = Field(
        default="5.7", description="the oldest Squid to write for"
    )
    icap: IcapUrl = Field(
        default="icap://127.0.0.1:1344",
        description="where Squid finds icapd; unless given, the first icap:// of listen",
    )
    icap_ca: SquidPath | None = Field(
        default=None, description="PEM; CA of icapd's certificate, for an icaps:// unknown to the system"
    )
    ports: Annotated[tuple[SquidPort, ...], AfterValidator(not_empty)] = Field(
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
    policy_program: tuple[SquidWord, ...] = Field(
        default=(),
        description="program that Squid asks about intercepted TLS; unless given, this icapd's",
    )
    access_log: SquidPath | None = Field(
        default=None, description="access log in icapd's format, for `icapd doctor pins`; unless given, none"
    )
    error_directory: SquidPath | None = Field(
        default=None,
        description="where Squid will find icapd's error pages; unless given, beside the fragment",
    )
    origin_ca: SquidPath | None = Field(
        default=None, description="PEM; further CAs that origins may be signed by"
    )
    allow_origins: tuple[Origin, ...] = Field(
        default=(), description="ADDRESS:PORT to reach although on loopback, link-local or an unusual port"
    )
    groups: tuple[SquidGroup, ...] = Field(default=(), description="groups that Squid's own helpers tell of")


class LdapSettings(_Options):
    """The directory that knows the groups of users no header tells the groups of (icapd[ldap])."""

    url: LdapServer = Field(description="ldap://HOST[:PORT] or ldaps://HOST[:PORT]")
    start_tls: bool = Field(default=False, description="begin TLS on an ldap:// connection (StartTLS)")
    ca: File | None = Field(default=None, description="PEM; CA of the server; unless given, the system's")
    bind_dn: str | None = Field(default=None, description="who asks; unless given, nobody (anonymous)")
    password_file: File | None = Field(
        default=None, description="file with the password of bind_dn, of mode 0600"
    )
    user_base: str = Field(description="DN below which users are")
    user_filter: str = Field(
        default="(sAMAccountName={user})",
        description="finds a user: {user} is the name without realm, {login} as it was sent",
    )
    group_base: str | None = Field(
        default=None, description="DN below which groups are; unless given, user_base"
    )
    group_filter: str = Field(
        default="(member={dn})", description="finds the user's groups: {dn} is the user's, {user}, {login}"
    )
    nested: bool = Field(
        default=False, description="also groups of groups (Active Directory; replaces group_filter)"
    )
    timeout: Seconds = Field(default=5.0, description="s for the server to answer")
    ttl: Seconds = Field(default=300.0, description="s for which a user's groups are remembered")
    negative_ttl: Seconds = Field(default=60.0, description="s for which it is remembered that there is none")
    stale: float = Field(
        default=3600.0, ge=0, le=604_800, description="s past ttl for which they serve while it is down"
    )
    cache: int = Field(default=20_000, ge=1, le=10_000_000, description="users remembered at most")
    on_error: Literal["unknown", "deny"] = Field(
        default="unknown",
        description="without an answer: unknown (rules on groups decide against the user), or deny all",
    )


class UserSettings(_Options):
    """Who users are and which groups they are in."""

    header: FieldName = Field(default="X-Client-Username", description="ICAP header with the user's name")
    encoding: Literal["auto", "raw", "base64"] = Field(
        default="auto", description="of names in ICAP headers; auto is base64 from Squids with our fragment"
    )
    realms: tuple[str, ...] = Field(
        default=(), description="realms and domains whose users go by their bare names; empty is all"
    )
    file: File | None = Field(default=None, description="users and their groups")
    ldap: LdapSettings | None = Field(default=None, description="directory that knows the groups")


class Options(_Options):
    """The whole of icapd.yaml."""

    listen: Annotated[tuple[ListenAddress, ...], AfterValidator(not_empty)] = Field(
        description="addresses to answer ICAP on"
    )
    policy: File = Field(description="the rules")
    page: File | None = Field(default=None, description="block page template; unless given, the built-in one")
    replies: Literal["fit", "page"] = Field(
        default="fit", description="to blocked parts of pages: what fits them, or always the page"
    )
    decisions: Annotated[File | None, BeforeValidator(standard_output)] = Field(
        default=None, description="file for one line per decision; - is standard output"
    )
    events: EventOptions = EventOptions()
    metrics: MetricsAddress | None = Field(
        default=None, description="ADDRESS:PORT for /metrics, /healthz and /readyz; unless given, none"
    )
    control: File | None = Field(default=None, description="Unix socket for `icapd reload`")
    peers: tuple[Network, ...] = Field(default=("127.0.0.0/8", "::1/128"), description="who may connect")
    tls: Tls | None = Field(default=None, description="certificate and key for icaps://")
    workers: Workers = 1
    service: ServiceOptions = ServiceOptions()
    limits: Limits = Limits()
    content: ContentSettings = ContentSettings()
    delivery: DeliveryOptions = DeliveryOptions()
    spool: SpoolOptions = SpoolOptions()
    adapters: tuple[AdapterEntry, ...] = Field(default=(), description="what scans messages")
    verdict_cache: CacheOptions = CacheOptions()
    squid: SquidSettings = SquidSettings()
    users: UserSettings = UserSettings()


class Config(Options):
    """A loaded icapd.yaml; `file` is where it was read. All paths can be opened from any directory."""

    file: Path

    @property
    def user_headers(self) -> UserHeaders:
        """How clients name users: what icapd.facts needs to know of this file."""
        names = (group.name for group in self.squid.groups)
        return user_headers(self.users.header, self.users.encoding, names)


def load_config(path: Path) -> Config:
    """Read icapd.yaml. Raises ConfigErrors with every fault as `file:line: message`."""
    document = read_document(path)
    options = validate(document, Options)
    if errors := _contradictions(document, options):
        raise ConfigErrors(errors)
    squid = options.squid
    plain = next((listen for listen in options.listen if listen.scheme == "icap"), options.listen[0])
    if "icap" not in squid.model_fields_set:
        squid = squid.model_copy(update={"icap": plain.url})
    values = {name: getattr(options, name) for name in Options.model_fields} | {"squid": squid}
    values["listen"] = tuple(listen.found_at(squid.icap) for listen in options.listen)
    return _resolved(Config(file=path, **values), path.absolute().parent)


def _contradictions(document: Document, options: Options) -> list[ConfigError]:
    """Find what each option alone allows, but not both together."""
    errors = []
    seen: dict[tuple[str, int], str] = {}
    for i, listen in enumerate(options.listen):
        line = document.where(("listen", i))
        if listen.scheme == "icaps" and options.tls is None:
            errors.append(ConfigError(document.file, line, f"{listen.text} needs tls: {{certificate, key}}"))
        key = listen.place
        if key[1] and key in seen:
            text = f"{listen.text} is the same address as {seen[key]}"
            errors.append(ConfigError(document.file, line, text))
        seen[key] = listen.text
    groups: set[str] = set()
    for i, group in enumerate(options.squid.groups):
        if group.name.casefold() in groups:
            errors.append(document.error(("squid", "groups", i), f"the group {group.name} is here twice"))
        groups.add(group.name.casefold())
    errors += _adapters_named_alike(document, options.adapters)
    errors += event_contradictions(document, options.events)
    return errors + list(_ldap_contradictions(document, options.users.ldap))


def _adapters_named_alike(document: Document, entries: tuple[AdapterEntry, ...]) -> Iterator[ConfigError]:
    names: set[str] = set()
    for i, entry in enumerate(entries):
        if entry.name in names:
            yield document.error(("adapters", i), f"two adapters are called {entry.name}: give one a `name`")
        names.add(entry.name)


def _ldap_contradictions(document: Document, ldap: LdapSettings | None) -> Iterator[ConfigError]:
    if ldap is None:
        return
    place = ("users", "ldap")
    if (ldap.bind_dn is None) is not (ldap.password_file is None):
        yield document.error(place, "bind_dn and password_file need each other")
    if ldap.start_tls and ldap.url.scheme == "ldaps":
        yield document.error((*place, "start_tls"), "ldaps:// has TLS already; start_tls is for ldap://")
    if ldap.ca is not None and not ldap.start_tls and ldap.url.scheme == "ldap":
        yield document.error((*place, "ca"), "without start_tls there is no TLS on ldap://")
    if ldap.nested and "group_filter" in ldap.model_fields_set:
        yield document.error((*place, "nested"), "nested has a group_filter of its own")
    for name, known in (("user_filter", {"user", "login"}), ("group_filter", {"dn", "user", "login"})):
        found = set(_IN_BRACES.findall(getattr(ldap, name)))
        if not found or found - known:
            wanted = " or ".join(f"{{{each}}}" for each in sorted(known))
            yield document.error((*place, name), f"needs {wanted}, and nothing else in braces")


def _resolved(options: _Model, base: Path) -> _Model:
    """Make every path of `options`, however deep, absolute: relative ones start at `base`."""
    update: dict[str, object] = {}
    for name, value in options:
        if isinstance(value, Path):
            update[name] = base / value
        elif isinstance(value, BaseModel):
            update[name] = _resolved(value, base)
        elif isinstance(value, tuple):
            update[name] = tuple(_resolved(one, base) if isinstance(one, BaseModel) else one for one in value)
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


def _flow(value: object) -> str:  # noqa: PLR0911  (one for each kind of value)
    """One value as YAML flow text."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else str(value)
        case Listen() | Server():
            return json.dumps(value.text, ensure_ascii=False)
        case AdapterEntry():
            return _flow(value.root)
        case BaseModel() | dict():
            return _flow_mapping({name: item for name, item in dict(value).items() if item is not None})
        case tuple() | list():
            return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(str(value), ensure_ascii=False)


def _flow_mapping(values: Mapping[str, object]) -> str:
    keys = (name if name.isidentifier() else json.dumps(name) for name in values)
    return (
        "{"
        + ", ".join(f"{key}: {_flow(item)}" for key, item in zip(keys, values.values(), strict=True))
        + "}"
    )
