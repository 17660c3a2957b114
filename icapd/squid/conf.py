"""The fragment's text: which blocks a configuration needs, and the values in them.

Pure but for reading the shipped blocks. Every value from icapd.yaml passes `words.word`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import icapd
from icapd.data import read_shared
from icapd.errors import ConfigError
from icapd.facts import group_header
from icapd.squid.intercepted import Tls, acl_values, port_name
from icapd.squid.versions import version_facts
from icapd.squid.words import word as _word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from icapd.config import Config, SquidGroup, SquidPort, SquidSettings, UserSettings
    from icapd.policy import Policy

SIGNATURE = "# Written by icapd"
MARKS = ("X-Icapd-Verdict", "X-Icapd-Bump", "X-Icapd-Page", "X-Icapd-Location")
_NAME = re.compile(r"@([a-z_]+)@")
_PORTLESS = re.compile(r":0$")
_BUMPING = "ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=4MB tls-cert="


def render_conf(config: Config, errors: Path, policy: Policy | None = None) -> str:
    """Return squid.conf's fragment for `config`; `errors` is where Squid will find icapd's error pages.

    `policy` is for what Squid judges alone of TLS connections that it intercepts.
    Raises ConfigError for a value squid.conf cannot hold, or a version too old.
    """
    settings = config.squid
    try:
        values = {
            **_values(settings, errors),
            **_user_values(config.users),
            **acl_values(Tls(settings, config.file, policy)),
        }
        blocks = [_filled(name, values) for name in _blocks(settings)]
    except ValueError as error:
        raise ConfigError(config.file, 0, f"squid: {error}") from None
    title = (
        f"{SIGNATURE} {icapd.__version__} (icapd squid-conf) for Squid {settings.version}: change "
        f"icapd.yaml and write it again.\n"
    )
    return "\n".join([title, *blocks])


def _blocks(settings: SquidSettings) -> Iterator[str]:
    """Name the blocks in the order in which Squid must read them."""
    bumps = any(port.bump for port in settings.ports)
    yield "forged"
    if any(port.intercepts for port in settings.ports):
        yield "intercepted"
    if bumps:
        yield "nested"
    yield "access"
    yield "ports"
    if bumps:
        yield "certificates"
    if settings.origin_ca is not None:
        yield "origin_ca"
    yield "icap"
    yield "facts"
    yield "verdict"
    if any(_plain_ports(settings.ports)):
        yield "plain"
    if any(port.bump and port.intercepts for port in settings.ports):
        yield "intercepted_tls"
    if bumps:
        yield "bump"
    yield "log"
    facts = version_facts(settings.version)
    if facts.warns:
        yield "quiet"
    if facts.stalls:
        yield "delay"


def _values(settings: SquidSettings, errors: Path) -> Mapping[str, str]:
    """Return what each `@name@` of the blocks stands for."""
    origins = [_word("allow_origins", origin) for origin in settings.allow_origins]
    return {
        "version": settings.version,
        "ports": "\n".join(_port(*numbered, settings) for numbered in enumerate(settings.ports, 1)),
        "plain_ports": " ".join(_plain_ports(settings.ports)),
        "certgen": _word("certgen", settings.certgen),
        "ssl_db": _word("ssl_db", settings.ssl_db),
        "origin_ca": _word("origin_ca", settings.origin_ca or ""),
        "icap": _icap(settings.icap),
        "icap_tls": f" tls-cafile={_word('icap_ca', settings.icap_ca)}" if settings.icap_ca else "",
        "forged": "\n".join(_forged()),
        "private": "\n".join(f"{which}_header_access {mark} deny all" for which in _WAYS for mark in MARKS),
        "clients": " ".join(_clients(settings.clients)),
        "origins": "\n".join(_origins(origins)),
        "exempt": " !icapd_origins" if origins else "",
        "errors": _word("error_directory", errors),
        "groups": "\n".join(_groups(settings.groups)),
        "access_log": _access_log(settings),
        "group_facts": "\n".join(_group_facts(settings.groups)),
    }


_WAYS = ("request", "reply")


def _access_log(settings: SquidSettings) -> str:
    if settings.access_log is None:
        return "# access_log daemon:/var/log/squid/access.log logformat=icapd"
    return f"access_log daemon:{_word('access_log', settings.access_log)} logformat=icapd"


def _user_values(users: UserSettings) -> Mapping[str, str]:
    usual = users.header.lower() == "x-client-username"
    return {
        "encode": "off" if users.encoding == "raw" else "on",
        "user_header": "" if usual else f"icap_client_username_header {users.header}",
    }


def _port(number: int, port: SquidPort, settings: SquidSettings) -> str:
    option = "https_port" if port.bump and port.intercepts else "http_port"
    line = f"{option} {_word('ports', port.address)}"
    if port.intercepts:
        line += f" {port.mode} name={port_name(number)}"
    return f"{line} {_BUMPING}{_word('ca', settings.ca)}" if port.bump else line


def _plain_ports(ports: tuple[SquidPort, ...]) -> Iterator[str]:
    for port in ports:
        if not port.bump and not port.intercepts:
            yield port.address.rpartition(":")[2]


def _clients(clients: tuple[str, ...]) -> Iterator[str]:
    if not clients:
        msg = "clients: empty, so nobody could use Squid"
        raise ValueError(msg)
    for client in clients:
        yield _word("clients", client)


def _icap(url: str) -> str:
    if _PORTLESS.search(url):
        msg = f"icap {url}: Squid cannot know the port that icapd will be given; name one"
        raise ValueError(msg)
    return _word("icap", url)


def _forged() -> Iterator[str]:
    names = []
    for mark in MARKS:
        names.append("icapd_forged_" + mark.rpartition("-")[2].lower())
        yield f"acl {names[-1]} req_header {mark} ^"  # ^: also an empty one, which would spoil icapd's
    yield f"acl icapd_forged any-of {' '.join(names)}"


def _origins(origins: list[str]) -> Iterator[str]:
    """ACLs for HOST:PORT that may be reached although they are on loopback, the link or an odd port."""
    if not origins:
        return
    yield "# allow_origins of icapd.yaml: may be reached although on loopback, the link or an unusual port."
    names = []
    for i, origin in enumerate(origins, 1):
        host, _, port = origin.rpartition(":")
        names.append(f"icapd_origin{i}")
        yield f"acl {names[-1]}_host dst {host.strip('[]')}"
        yield f"acl {names[-1]}_port port {port}"
        yield f"acl {names[-1]} all-of {names[-1]}_host {names[-1]}_port"
    yield f"acl icapd_origins any-of {' '.join(names)}"


def _groups(groups: tuple[SquidGroup, ...]) -> Iterator[str]:
    """Ask about each group while Squid can wait for its helper, and note the answer on the transaction."""
    if groups:
        yield "# Groups of icapd.yaml: helpers are asked here, where Squid can wait; adaptation_meta cannot."
        yield "# A helper that answers BH (it cannot tell) has Squid deny the request."
        yield "# Their external_acl_type, and a proxy_auth rule if they need a name, stand before this file."
    for group in groups:
        tag = _tag(group)
        yield f"acl icapd_ask_{tag} {' '.join(_acl_words(group.acl))}"
        yield f"acl icapd_note_{tag} annotate_transaction icapd_{tag}=1"
        yield f"acl icapd_member_{tag} note icapd_{tag} 1"
        yield f"http_access deny icapd_ask_{tag} icapd_note_{tag} !all"


def _group_facts(groups: tuple[SquidGroup, ...]) -> Iterator[str]:
    """Tell icapd of each group, members and others; a header that is missing leaves the group unknown."""
    for group in groups:
        header = group_header(group.name)
        yield f"adaptation_meta {header} 1 icapd_member_{_tag(group)}"
        yield f"adaptation_meta {header} 0 all"


def _tag(group: SquidGroup) -> str:
    return group_header(group.name).rpartition("-")[2]


def _acl_words(acl: str) -> Iterator[str]:
    """The words of an ACL; one in double quotes names a file of such words."""
    for word in acl.split(" "):
        quoted = word.startswith('"')
        text = _word("groups", word[1:-1] if quoted else word)
        yield f'"{text}"' if quoted else text


def _filled(name: str, values: Mapping[str, str]) -> str:
    """Return block `name` with its values; a line whose only content was an empty value goes."""
    lines = read_shared("squid", "conf", f"{name}.conf").splitlines()
    filled = [(line, _NAME.sub(lambda match: values[match[1]], line)) for line in lines]
    return "".join(f"{new}\n" for old, new in filled if new or not old)
