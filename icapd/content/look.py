"""What looking inside a document gives: findings, embedded parts, types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Look:
    """What one document was found to hold.

    `parts` are what is embedded, (name, content), each to be looked at like a member of an archive;
    they may be made lazily, and then budget.output() is the caller's to call. `types` are further names of
    icapd.policy.filetypes ("docm"). `where` of the findings is inside the document, "" for all of it.
    """

    findings: tuple[Finding, ...] = ()
    parts: Iterable[tuple[str, bytes]] = ()
    types: tuple[str, ...] = ()


def found(kind: Kind, threat: str) -> Finding:
    """Return a finding of content inspection on a whole document."""
    return Finding(kind, threat, "content")
