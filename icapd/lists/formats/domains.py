"""Plain domains and hosts files (address, then names).

A line is blank, a comment (# ! ;), a name, or an address followed by names; a comment may
follow after a blank. Names are brought into the one normal form of icapd.http, so a list in
capitals, with trailing dots or in Unicode means what its author meant.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from icapd.http import TargetError, is_address, normal_host
from icapd.lists.entry import IGNORED
from icapd.lists.formats.lines import MAX_LINE, raw_lines, text_or_why
from icapd.lists.suffixes import is_public_suffix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from icapd.lists.entry import Item, Readable

# The common case: lower-case, at least one dot, last label no number, no punycode.
_PLAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.)+[a-z][a-z0-9-]{0,62}")
_ADDRESS = re.compile(r"[0-9.]+|\[?[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:%[0-9A-Za-z]+)?\]?")
# What hosts files name for the machine itself: not for filtering.
_LOCAL = frozenset({"localhost.localdomain", "ip6-localhost", "ip6-loopback"})
_COMMENTS = (b"#", b"!", b";")
PUBLIC_SUFFIX = "a public suffix: it would cover everybody's names below it"
NO_DOT = "a name without a dot: it would cover a whole top-level domain"
NOT_A_NAME = "not a domain name"


def read_domains(stream: Readable) -> Iterator[Item]:
    """Yield the entries of a file of domains or hosts. Blank lines and comments yield nothing.

    A line of a hosts file may yield several.
    """
    return plain_or_rest(stream, read_line)


def plain_or_rest(stream: Readable, rest: Callable[[int, str], Iterator[Item]]) -> Iterator[Item]:
    """Yield the names of lines that are nothing else; give `rest` the others, but for comments."""
    for number, raw in raw_lines(stream):
        stripped = raw.strip()
        if not stripped or (stripped.startswith(_COMMENTS) and len(stripped) <= MAX_LINE):
            continue
        line, why = text_or_why(stripped)
        if why:
            yield number, IGNORED, why
        elif _PLAIN.fullmatch(line) and "xn--" not in line and len(line) <= 253:  # noqa: PLR2004
            yield (number, IGNORED, PUBLIC_SUFFIX) if is_public_suffix(line) else (number, "name", line)
        elif line:
            yield from rest(number, line)


def read_line(number: int, line: str) -> Iterator[Item]:
    """Yield the entries of a line that is no comment."""
    words = line.partition("#")[0].split() if re.search(r"\s#", line) else line.split()
    if len(words) == 1:
        yield number, *name_entry(words[0])
    elif words and _ADDRESS.fullmatch(words[0]):
        for word in words[1:]:
            yield number, *name_entry(word)
    else:
        yield number, IGNORED, "more than a name on the line"


def name_entry(word: str, kind: str = "name") -> tuple[str, str]:
    """Return (kind, normal form) of a name, ("range", …) of an address, or ("ignored", reason)."""
    if "/" in word:
        return IGNORED, "a URL or a network where a domain is meant"
    try:
        name = normal_host(word.removeprefix("*.").removeprefix("."))
    except TargetError:
        return IGNORED, NOT_A_NAME
    if is_address(name):
        # The URL standard reads any number as an address; in a list it is an error page's "404".
        return address_entry(name) if "." in word or ":" in word else (IGNORED, "a number")
    if name in _LOCAL or "." not in name:
        return IGNORED, NO_DOT
    if is_public_suffix(name):
        return IGNORED, PUBLIC_SUFFIX
    return kind, name


def address_entry(text: str) -> tuple[str, str]:
    """Return the entry of one address in normal form."""
    address = ipaddress.ip_address(text)
    if address.is_loopback or address.is_unspecified:
        return IGNORED, "this machine's own address"
    return "range", f"{address.version} {int(address)} {int(address)}"
