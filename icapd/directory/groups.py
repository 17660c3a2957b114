"""Completes what is known of a client by the groups his user is in.

Headers that tell all groups are believed; the file adds to them; LDAP is asked about users whose groups
no header tells. A user who is not known is in no group, and so is everyone where nobody can be asked.
What could not be told is not taken for absent: IN_DOUBT then stands among the groups, and a rule on
groups decides against the user. It never exempts him, and blocks him as if he were in the group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from icapd.accounts import IN_DOUBT, bare_name
from icapd.directory.file import StaticGroups
from icapd.directory.lookups import Pending

if TYPE_CHECKING:
    from icapd.directory.lookups import Groups
    from icapd.policy import Policy
    from icapd.transaction import Client

_NO_FILE = StaticGroups()


class Answers(Protocol):
    """What LDAP says, remembers, or cannot tell: see Lookups."""

    def ask(self, login: str, bare: str) -> Groups | Pending | None:
        """Return a user's groups, what they will come by, or None where they cannot be told."""
        ...


class Unasked:
    """Stands for a directory that is not to be asked: of it nothing is known."""

    def ask(self, login: str, bare: str) -> Groups | Pending | None:  # noqa: ARG002
        """Return None."""
        return None


class Directory:
    """All that is known of users' groups.

    `asked` tells whether any rule needs to know them; `denies` what becomes of a user of whom LDAP cannot
    tell (`on_error: deny`).
    """

    def __init__(
        self,
        static: StaticGroups = _NO_FILE,
        realms: tuple[str, ...] = (),
        lookups: Answers | None = None,
        *,
        asked: bool = False,
        denies: bool = False,
    ) -> None:
        self.static = static
        self.asked = asked
        self._denies = denies
        self._lookups = lookups
        self._realms = frozenset(map(str.casefold, realms))

    def complete(self, client: Client) -> Pending | None:
        """Add the groups of the client's user, before the policy sees him.

        Returns what to wait for, if they must be asked for; `client` is then to be completed by `add` when
        they come, and before that must not be used.
        """
        user, told = client.user, client.groups
        client.groups = told or ()
        if user is None:
            return None
        bare = bare_name(user, self._realms)
        client.groups += self.static.of(user, bare)
        if self._lookups is None or (told is not None and IN_DOUBT not in told):
            return None
        found = self._lookups.ask(user, bare)
        if isinstance(found, Pending):
            return found
        self.add(client, found)
        return None

    def add(self, client: Client, groups: Groups | None) -> None:
        """Add what LDAP said: all groups, or None if it could not tell."""
        known = tuple(group for group in client.groups or () if group != IN_DOUBT)
        client.groups = (*known, *((IN_DOUBT,) if groups is None else groups))

    def refuses(self, client: Client) -> bool:
        """Tell whether the client is to be denied whatever the rules say."""
        return self._denies and client.groups is not None and IN_DOUBT in client.groups


def asks_groups(policy: Policy) -> bool:
    """Tell whether any rule or workspace of `policy` asks about groups."""
    return any(
        matcher.criterion == "group"
        for rule in (*policy.bypass, *policy.access, *policy.tls, *policy.workspaces)
        for part in (rule.when, *rule.unless)
        for matcher in part
    )
