"""The shapes of content: what a message says of its body, and what was found in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icapd.verdicts import Finding


@dataclass(frozen=True, slots=True)
class Shape:
    """What heads say of a body; nothing of it is trusted.

    `codings` are the members of all Content-Encoding fields in order, `media` every declared media type
    with its parameters (several fields, several values), `names` every file name (URL path's last
    segment, Content-Disposition's filename and filename*). `length` is Content-Length, None where there is
    none. `range` is the Content-Range of a 206, "" for a 206 without one, None otherwise.
    `is_request` tells an upload from a download. `is_error`: the status is 300 or above, so the body may be
    a page about that.
    """

    codings: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    length: int | None = None
    range: str | None = None
    is_request: bool = False
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One object for scanners: the body as it came, decoded, or something that was inside.

    `path` is "" for the body, "a.zip/b.doc" below; `depth` counts containers. `fd` is a descriptor of its
    content, `size` bytes from offset 0, owned by the Report it belongs to. `md5`, `sha256`: lower-case
    hex; `md5` is "" where nobody could ask for it.
    `file_types` are names of icapd.policy.filetypes.
    """

    path: str
    depth: int
    size: int
    fd: int
    md5: str
    sha256: str
    file_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All that inspecting one body gave. `items[0]` is the body, its codings undone, where they could be.

    `findings` are those of inspection itself (encrypted, macro, limit, unscannable, partial, ...).
    `sha256` is of the body as it came, "" where that was not read. Who asked for it closes it once, when
    nobody reads the items any more.
    """

    items: tuple[Item, ...]
    findings: tuple[Finding, ...] = ()
    sha256: str = ""

    def close(self) -> None:
        """Close the descriptors of the items, each once."""
        for fd in {item.fd for item in self.items}:
            os.close(fd)
