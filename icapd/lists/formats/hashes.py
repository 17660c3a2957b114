"""Lists of MD5 or SHA-256 digests: alone, or with a name before or after, as ClamAV and md5sum write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from icapd.lists.entry import FIELD, IGNORED
from icapd.lists.formats.lines import text_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.lists.entry import Item, Readable

HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{32})(?![0-9A-Za-z])")
_BETWEEN = re.compile(r"[\s,;:|*\"']+")
MAX_NAME = 100  # characters
_KINDS = {32: "md5", 64: "sha256"}
# Of no bytes at all: every empty body would match.
_EMPTY = frozenset(
    {
        "d41d8cd98f00b204e9800998ecf8427e",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
)


def read_hashes(stream: Readable, wanted: str = "") -> Iterator[Item]:
    """Yield the digests of a file; `wanted` is "md5", "sha256" or "" for both."""
    for number, text, why in text_lines(stream, ("#", ";", "//")):
        yield number, *((IGNORED, why) if why else hash_entry(text, wanted))


def hash_entry(text: str, wanted: str) -> tuple[str, str]:
    """Return the entry of a line with a digest, or ("ignored", reason)."""
    found = HEX.findall(text)
    of_kind = [one for one in found if _KINDS.get(len(one)) == wanted or (not wanted and len(one) in _KINDS)]
    if not found:
        return IGNORED, "no digest"
    if not of_kind:
        return IGNORED, f"a digest of another kind than {wanted or 'MD5 or SHA-256'}"
    digest = max(of_kind, key=len).lower()
    if digest in _EMPTY:
        return IGNORED, "the digest of an empty file"
    name = _name(text)
    return _KINDS[len(digest)], f"{digest}{FIELD}{name}" if name else digest


def _name(text: str) -> str:
    """Return what else stands on the line, but for numbers: what was found, or where."""
    words = [word for word in _BETWEEN.split(HEX.sub(" ", text)) if word and not word.isdecimal()]
    name = " ".join(words)[:MAX_NAME]
    return "".join(character for character in name if character.isprintable())
