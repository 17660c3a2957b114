"""List files, line by line: plain domains, and hosts files (address, then names).

A line is blank, a comment (# or !), a name, or an address followed by names; a comment may
follow after a blank. Names are brought into the one normal form of icapd.http, so a list in
capitals, with trailing dots or in Unicode means what its author meant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from icapd.http import TargetError, is_address, normal_host

if TYPE_CHECKING:
    from collections.abc import Iterator

# The common case: lower-case, at least one dot, last label no number, no punycode.
_PLAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.)+[a-z][a-z0-9-]{0,62}")
_ADDRESS = re.compile(r"[0-9.]+|\[?[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\]?")
# What hosts files name for the machine itself: not for filtering.
_LOCAL = frozenset({"localhost.localdomain", "ip6-localhost", "ip6-loopback"})
_OWN = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1"})  # noqa: S104  (not bound to, left out)

Line = tuple[int, str | None, str]  # (line, name or None, why it is ignored)


def read_domains(data: bytes) -> Iterator[Line]:
    """Yield (line, name, "") for each name and (line, None, reason) for each line ignored.

    A line of a hosts file may yield several. Blank lines and comments yield nothing.
    """
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        text = raw.strip()
        if not text or text[:1] in {b"#", b"!"}:
            continue
        try:
            line = text.decode("utf-8")
        except UnicodeDecodeError:
            yield number, None, "not UTF-8"
            continue
        if _PLAIN.fullmatch(line) and "xn--" not in line and len(line) <= 253:  # noqa: PLR2004
            yield number, line, ""
        else:
            yield from _read_line(number, line)


def _read_line(number: int, line: str) -> Iterator[Line]:
    words = line.partition("#")[0].split() if re.search(r"\s#", line) else line.split()
    if len(words) == 1:
        yield number, *_name(words[0])
    elif words and _ADDRESS.fullmatch(words[0]):
        for word in words[1:]:
            yield number, *_name(word)
    else:
        yield number, None, "more than a name on the line"


def _name(word: str) -> tuple[str | None, str]:
    """Return (name, "") or (None, reason)."""
    if "/" in word:
        return None, "a URL or a network where a domain is meant"
    try:
        name = normal_host(word.removeprefix("*.").removeprefix("."))
    except TargetError:
        return None, "not a domain name"
    if is_address(name):
        return (None, "this machine's own address") if name in _OWN else (name, "")
    if name in _LOCAL or "." not in name:
        return None, "a name without a dot: it would cover a whole top-level domain"
    return name, ""
