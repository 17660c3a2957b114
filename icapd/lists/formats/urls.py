"""Lists of URLs, with or without a scheme, as squidGuard's `urls` files and text feeds have them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from icapd.http import HeadError, parse_target
from icapd.lists.entry import FIELD, IGNORED
from icapd.lists.formats.lines import text_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.lists.entry import Item, Readable

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ROUNDS = 8


def read_urls(stream: Readable) -> Iterator[Item]:
    """Yield the URLs of a file, one a line."""
    for number, text, why in text_lines(stream, ("#", "!")):
        if why:
            yield number, IGNORED, why
        else:
            for kind, value in url_entries(text):
                yield number, kind, value


def url_entries(text: str) -> list[tuple[str, str]]:
    """Return the entry of a URL, in one or two spellings, or ("ignored", reason).

    Scheme, port and user are dropped: a list says which pages, on whatever port they are. A second
    spelling is the path decoded, where that is another and drops nothing.
    """
    if any(character.isspace() for character in text):
        return [(IGNORED, "a URL has no blanks")]
    wire = text if _SCHEME.match(text) else f"http://{text.removeprefix('//')}"
    try:
        target = parse_target("GET", wire.encode("utf-8", "surrogatepass").decode("latin-1"))
    except HeadError:
        return [(IGNORED, "not a URL")]
    if "." not in target.host and ":" not in target.host:
        return [(IGNORED, "a URL whose host has no dot")]
    tail = () if target.query is None else (target.query,)
    path = target.path or "/"
    entries = [("url", FIELD.join((target.host, path, *tail)))]
    if (decoded := _decoded(path)) != path:
        entries.append(("spelling", FIELD.join((target.host, decoded, *tail))))
    return entries


def _decoded(path: str) -> str:
    """Return the path as the laxest reader has it; unchanged if that would mean more pages."""
    text = path
    for _ in range(_ROUNDS):
        if "%" not in text:
            break
        text = unquote(text, errors="replace")
    segments = text.replace("\\", "/").split("/")
    if any(mark in text for mark in ";\0?\x1e\x1f") or ".." in segments:
        return path
    return "/" + "/".join(segment for segment in segments if segment not in {"", "."})
