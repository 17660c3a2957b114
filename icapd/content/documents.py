"""What documents hold: one question for every kind of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterable

    from icapd.content.budget import Budget
    from icapd.verdicts import Finding


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


def look(
    data: memoryview | mmap.mmap | bytes,
    types: tuple[str, ...],
    name: str,
    budget: Budget,
    members: tuple[str, ...] = (),
) -> Look:
    """Look inside a document.

    `types` are those its content shows, `name` is its file name, `members` the names in a zip. May raise
    anything: the caller takes LimitReached as a finding LIMIT, all else as UNSCANNABLE.
    """
    del data, types, name, budget, members
    return Look()
