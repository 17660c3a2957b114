"""Adblock filters, as far as they speak of whole domains: ||x^ and its exception @@||x^.

A proxy knows no page around a request, so a filter that needs one (options such as
$third-party or $domain=, element hiding) or that means a part of a site is ignored, and told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from icapd.lists.entry import IGNORED
from icapd.lists.formats.domains import name_entry, read_line
from icapd.lists.formats.lines import text_lines
from icapd.lists.formats.urls import url_entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.lists.entry import Item, Readable

_HEADER = re.compile(r"\[[Aa]dblock.*\]|\[uBlock.*\]")
_DOMAIN = re.compile(r"(@@)?\|\|((?:\*\.)?[^/^$*|?=:]+)(?:\^\|?|/)?(?:\$(.*))?")
_URL = re.compile(r"\|\|([^/^$*|?=:]+/[^$^*|]+)\^?(?:\$(.*))?")
# Options that take nothing away from what a filter means for a whole domain.
_HARMLESS = frozenset({"all", "document", "doc", "important"})
_HIDING = re.compile(r"#[@?$%]*#|#@#|#\?#|##\^|\$\$")


def read_adblock(stream: Readable) -> Iterator[Item]:
    """Yield the domains (and whole URLs) of a list of filters."""
    for number, text, why in text_lines(stream, ("!",)):
        if why:
            yield number, IGNORED, why
        elif not _HEADER.fullmatch(text) and (text[:1] != "#" or _HIDING.match(text)):
            for entry in _filter(text):
                yield number, *entry


def _filter(text: str) -> list[tuple[str, str]]:
    if _HIDING.search(text):
        return [(IGNORED, "hides elements of a page")]
    match = _DOMAIN.fullmatch(text)
    if match is not None:
        exception, name, options = match.groups()
        if why := _options(options):
            return [(IGNORED, why)]
        return [name_entry(name, "except" if exception else "name")]
    match = _URL.fullmatch(text)
    if match is not None:
        why = _options(match[2])
        return [(IGNORED, why)] if why else url_entries(match[1])
    if text.startswith(("@@", "/", "|")) or any(mark in text for mark in "*^$|"):
        return [(IGNORED, "a filter, or an exception, of more or less than a domain")]
    return [(kind, value) for _, kind, value in read_line(0, text)]


def _options(text: str | None) -> str:
    """Return why options cannot be kept, or ""."""
    names = [] if not text else [option.strip().partition("=")[0] for option in text.split(",")]
    needed = [name for name in names if name.lower() not in _HARMLESS]
    return f"the option ${needed[0].lstrip('~')[:20]} needs a page or a kind of content" if needed else ""
