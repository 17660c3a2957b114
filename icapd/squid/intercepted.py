"""Ports to which the network brings connections: their names, and which tls rules Squid judges alone.

Squid settles what becomes of an intercepted TLS connection before icapd is asked about it, so the marks on
an adapted CONNECT come too late. The leading run of rules that Squid's own ACLs can judge is compiled, since
order is meaning it ends at the first rule they cannot; whatever is left is asked of a program (`steps`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.http import is_address
from icapd.policy import Allow
from icapd.policy.match import ClientIs, HostIs, MethodIs, PortIs, SchemeIs
from icapd.policy.who import ProxyPortIs
from icapd.squid.words import word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from icapd.config import SquidSettings
    from icapd.policy import Policy, Rule, TlsRule
    from icapd.policy.match import Matcher


@dataclass(frozen=True, slots=True)
class Tls:
    """What the blocks on interception are made of."""

    settings: SquidSettings
    config: Path
    policy: Policy | None


@dataclass(frozen=True, slots=True)
class Compiled:
    """One rule as ACLs, with the names of those that can be told at once, and of those on the TLS name."""

    rule: TlsRule
    acls: tuple[str, ...]
    early: tuple[str, ...]
    late: tuple[str, ...]


def port_name(number: int) -> str:
    """Return the name that the fragment gives the intercepting port that is `number` in icapd.yaml."""
    return f"icapd_port{number}"


def acl_values(tls: Tls) -> Mapping[str, str]:
    """Return what the blocks on interception put in their places."""
    numbered = tuple(enumerate(tls.settings.ports, 1))
    names = [port_name(number) for number, port in numbered if port.intercepts]
    reads = any(port.intercepts and port.bump for port in tls.settings.ports)
    compiled = () if tls.policy is None else compile_rules(tls.policy)
    asks = tls.policy is None or len(compiled) < len(tls.policy.tls)
    program = tls.settings.policy_program or (sys.executable, "-m", "icapd")
    command = [word("policy_program", each) for each in program]
    command += ["helper", "-c", word("file", tls.config.absolute())]
    return {
        "intercepting_ports": " ".join(names),
        "nested_intercepted": "\n".join(_NESTED) if names else "",
        "tunnel_facts": "\n".join(_tunnel_facts(tls.settings)),
        "policy_program": " ".join(command),
        "compiled": "\n".join(_lines(compiled)),
        "intercepted_bump": "\n".join(_bump_lines(compiled, asks=asks)) if reads else "",
    }


_NESTED = (
    "# The first CONNECT of an intercepted connection is Squid's own: it makes one, to be asked about.",
    "acl icapd_opened annotate_client icapd_tunnel=decrypted",
    "http_access deny CONNECT icapd_intercepted icapd_opened !all",
)


def _tunnel_facts(settings: SquidSettings) -> Iterator[str]:
    """Tell where an intercepted connection leads, and what kind of CONNECT this is."""
    intercepts = any(port.intercepts for port in settings.ports)
    if intercepts:
        yield "# Where an intercepted connection leads."
        yield 'adaptation_meta X-Server-IP "%>la" icapd_intercepted'
    if any(port.bump for port in settings.ports):
        yield "# A CONNECT that is asked about again, before it is spliced; one whose host is but an address."
        yield "adaptation_meta X-Icapd-Tunnel again CONNECT !icapd_step1"
        if intercepts:
            yield "adaptation_meta X-Icapd-Tunnel address CONNECT icapd_intercepted"


def compile_rules(policy: Policy) -> tuple[Compiled, ...]:
    """Return the leading run of tls rules that Squid can judge alone, in order."""
    found: list[Compiled] = []
    for number, rule in enumerate(policy.tls, 1):
        one = _compiled(number, rule)
        if one is None or (rule.action == "splice" and _may_be_denied(rule, policy)):
            break
        found.append(one)
    return tuple(found)


def _may_be_denied(rule: TlsRule, policy: Policy) -> bool:
    """Whether access could deny what `rule` holds for: then it must be decrypted, to show the page."""
    hosts = _hosts(rule)
    for other in policy.access:
        if isinstance(other.action, Allow) or other.shadow:
            continue
        theirs = _hosts(other)
        if not hosts or not theirs or any(_meet(one, two) for one in hosts for two in theirs):
            return True
    return False


def _hosts(rule: Rule) -> tuple[str, ...]:
    """Return the names of `rule`'s host criterion, () if it has none or is not only on names."""
    found = next((each for each in rule.when if isinstance(each, HostIs)), None)
    return () if found is None or found.networks else (*found.domains, *found.exact)


def _meet(one: str, two: str) -> bool:
    return one == two or one.endswith("." + two) or two.endswith("." + one)


def _compiled(number: int, rule: TlsRule) -> Compiled | None:
    if rule.shadow or rule.unless or rule.workspace is not None or rule.action == "splice_if_sni_matches":
        return None
    acls: list[str] = []
    early: list[str] = []  # what is known before the TLS name is
    late: list[str] = []
    for matcher in rule.when:
        if isinstance(matcher, MethodIs) and "CONNECT" in matcher.methods:
            continue
        if isinstance(matcher, SchemeIs) and "https" in matcher.schemes:
            continue
        text = _acl(matcher)
        if text is None:
            return None
        name = f"icapd_tls{number}_{matcher.criterion}"
        (late if isinstance(matcher, HostIs) else early).append(name)
        acls.append(f"acl {name} {text}")
    return Compiled(rule, tuple(acls), tuple(early), tuple(late))


def _acl(matcher: Matcher) -> str | None:
    """Return type and arguments of the ACL that holds exactly where `matcher` does, if there is one."""
    if isinstance(matcher, PortIs):
        return f"port {_ranges(matcher.ranges)}"
    if isinstance(matcher, ProxyPortIs):
        return f"localport {_ranges(matcher.ranges)}"
    if isinstance(matcher, ClientIs):
        return f"src {' '.join(word('client', each.replace(' ', '')) for each in matcher.wanted)}"
    if isinstance(matcher, HostIs) and not matcher.networks and not any(map(is_address, matcher.exact)):
        hosts = sorted(f".{name}" for name in matcher.domains) + sorted(matcher.exact)
        return f"ssl::server_name --client-requested {' '.join(word('host', each) for each in hosts)}"
    return None


def _ranges(ranges: tuple[tuple[int, int], ...]) -> str:
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def _lines(compiled: tuple[Compiled, ...]) -> Iterator[str]:
    for one in compiled:
        yield f"# {one.rule.name!r} ({one.rule.source})"
        yield from one.acls


def _bump_lines(compiled: tuple[Compiled, ...], *, asks: bool) -> Iterator[str]:
    """Yield the ssl_bump lines of intercepted connections: of the first step, then of the second.

    To decrypt at once costs no connection to the origin; for all else the TLS name is looked at first.
    """
    first, second = "icapd_intercepted icapd_step1", "icapd_intercepted !icapd_step1"
    for one in compiled:
        at_once = one.rule.action == "bump" and not one.late
        yield " ".join(("ssl_bump", "bump" if at_once else "peek", first, *one.early))
        if not one.early:  # for all connections that come as far
            break
    else:
        if asks:
            yield f"ssl_bump peek {first} icapd_ask_step1 icapd_say_peek"
        yield f"ssl_bump bump {first}"
    for one in compiled:
        marks = ("icapd_unread",) if one.rule.action == "splice" else ()
        yield " ".join(("ssl_bump", one.rule.action, second, *one.early, *one.late, *marks))
    if asks:
        yield f"ssl_bump terminate {second} icapd_ask_step2 icapd_say_terminate"
        yield f"ssl_bump splice {second} icapd_say_splice icapd_unread"
    yield f"ssl_bump bump {second}"
