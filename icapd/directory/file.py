r"""users.yaml: users with their groups, groups with their users.

users:
  alice: [staff, marketing]
  'CORP\bob': [staff]
groups:
  kids: [carol, dave@SCHOOL.TEST]
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from icapd.accounts import group_names
from icapd.source import read_document, validate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def _name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("not a name")
    return text.strip()


def _list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_Name = Annotated[str, AfterValidator(_name)]
_Names = Annotated[tuple[_Name, ...], BeforeValidator(_list)]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    users: dict[_Name, _Names] = {}
    groups: dict[_Name, _Names] = {}


@dataclass(frozen=True, slots=True)
class StaticGroups:
    """Groups by user's name in folded case; `digest` (8 hex digits) changes with them, "" for none."""

    by_user: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    digest: str = ""

    def of(self, login: str, bare: str) -> tuple[str, ...]:
        """Return the groups of a user, by his name as sent and without realm."""
        found = self.by_user.get(login.casefold(), ())
        return found if bare == login else (*found, *self.by_user.get(bare.casefold(), ()))


def read_users(path: Path) -> StaticGroups:
    """Read users.yaml. Raises ConfigErrors with every fault as `file:line: message`."""
    file = validate(read_document(path), _File)
    groups: dict[str, dict[str, None]] = {}
    for user, names in file.users.items():
        groups.setdefault(user.casefold(), {}).update(dict.fromkeys(names))
    for group, users in file.groups.items():
        for user in users:
            groups.setdefault(user.casefold(), {})[group] = None
    by_user = {
        user: tuple(dict.fromkeys(each for name in names for each in group_names(name)))
        for user, names in groups.items()
    }
    digest = hashlib.sha256(repr(sorted(by_user.items())).encode()).hexdigest()[:8]
    return StaticGroups(by_user, digest)
