"""A part of something: what every opener of containers yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icapd.verdicts import Kind


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its content comes in `chunks`, made of `source` bytes of the container.

    Chunks may raise icapd.content.codings.Broken after all that could be had. `media` are types declared for
    the part, `names` what else it may be saved as. `guessed`: it only looks like a part, so it may be broken
    or empty without being a finding.
    """

    name: str
    chunks: Iterable[bytes]
    source: int
    media: tuple[str, ...] = ()
    guessed: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something to tell of a container beside its parts; a finding of the walk."""

    kind: Kind
    threat: str
    name: str = ""
