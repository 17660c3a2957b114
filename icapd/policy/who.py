"""Matchers on who asks: groups, user agent, the proxy's port, the workspace."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.accounts import IN_DOUBT
from icapd.policy.wildcards import Wildcard, fits

if TYPE_CHECKING:
    from icapd.policy.facts import Facts
    from icapd.policy.match import Key, Truth

_COMMON_NAME = re.compile(r"\s*cn\s*=\s*((?:\\.|[^\\,])*)", re.IGNORECASE)


def group_forms(group: str) -> tuple[str, ...]:
    r"""Return a group's name as told and in short, in folded case.

    Short for `CORP\staff`, `staff@CORP`, `corp.test/groups/staff` and `CN=staff,OU=groups,…`.
    """
    name = group.casefold()
    common = _COMMON_NAME.match(name)
    if common is not None:
        return name, common[1].replace("\\", "").strip()
    return name, name.rpartition("\\")[2], name.rpartition("/")[2], name.partition("@")[0]


@dataclass(frozen=True, slots=True)
class GroupIs:
    """`group`: names of groups, compared without regard to case; `*` stands for anything."""

    wanted: tuple[str, ...]
    exact: frozenset[str]
    patterns: tuple[Wildcard, ...]
    criterion = "group"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Compare; generously, the short name of a group is its name too. No groups: absent.

        A user of whom not all groups could be told may be in this one: that blocks him, and never exempts.
        """
        groups = facts.tx.client.groups
        if groups is None:
            return False if facts.is_final else None
        if any(self._is(group, strict=strict) for group in groups if group != IN_DOUBT):
            return True
        return not strict and IN_DOUBT in groups

    def _is(self, group: str, *, strict: bool) -> bool:
        forms = (group.casefold(),) if strict else group_forms(group)
        return not self.exact.isdisjoint(forms) or any(
            fits(pattern, form) for pattern in self.patterns for form in forms
        )

    def found(self, facts: Facts) -> str:
        """Return the user's groups."""
        groups = facts.tx.client.groups or ()
        return ", ".join("(others unknown)" if group == IN_DOUBT else group for group in groups)

    def keys(self) -> tuple[Key, ...] | None:
        """File it under its names, under "any group" if it has patterns, and under a user's in doubt."""
        names = [("group", name) for name in sorted({*self.exact, IN_DOUBT})]
        return (*names, ("group", "*")) if self.patterns else tuple(names)


@dataclass(frozen=True, slots=True)
class UserAgentIs:
    """`user_agent`: the whole User-Agent, in any case; `*` stands for anything.

    A tunnel may be opened without one; what is asked for inside will have it.
    """

    wanted: tuple[str, ...]
    patterns: tuple[Wildcard, ...]
    criterion = "user_agent"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:
        """Hold for any User-Agent sent (all, if strict)."""
        agents = _agents(facts)
        if not agents:
            return None if facts.is_tunnel else False
        fitting = (any(fits(pattern, agent.casefold()) for pattern in self.patterns) for agent in agents)
        return all(fitting) if strict else any(fitting)

    def found(self, facts: Facts) -> str:
        """Return the User-Agent."""
        return ", ".join(_agents(facts))

    def keys(self) -> tuple[Key, ...] | None:
        """Agents are too many to be filed."""
        return None


def _agents(facts: Facts) -> list[str]:
    request = facts.tx.request
    if request is None:
        return []
    return [value.decode("utf-8", "replace") for value in request.headers.get_all(b"user-agent")]


@dataclass(frozen=True, slots=True)
class ProxyPortIs:
    """`proxy_port`: inclusive ranges of the port of Squid that the client came in by."""

    wanted: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]
    criterion = "proxy_port"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:  # noqa: ARG002  (a port has one spelling)
        """Compare; a port not told at the last point is absent."""
        port = facts.tx.proxy_port
        if port is None:
            return False if facts.is_final else None
        return any(first <= port <= last for first, last in self.ranges)

    def found(self, facts: Facts) -> str:
        """Return the port."""
        return "" if facts.tx.proxy_port is None else str(facts.tx.proxy_port)

    def keys(self) -> tuple[Key, ...] | None:
        """Ports of a proxy are too few to tell rules apart."""
        return None


@dataclass(frozen=True, slots=True)
class WorkspaceIs:
    """`workspace`: the workspace that was chosen by who asks. Rules of a workspace begin with it."""

    wanted: tuple[str, ...]
    criterion = "workspace"

    def truth(self, facts: Facts, *, strict: bool) -> Truth:  # noqa: ARG002  (it was chosen)
        """Compare; no workspace is none of them."""
        return facts.workspace in self.wanted

    def found(self, facts: Facts) -> str:
        """Return the chosen workspace."""
        return facts.workspace or ""

    def keys(self) -> tuple[Key, ...] | None:
        """File it under its workspaces."""
        return tuple(("workspace", name) for name in self.wanted)
