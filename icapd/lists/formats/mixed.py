"""Plain text of any kind: each line a name, a hosts line, a URL, a network or a digest, as it looks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from icapd.lists.entry import IGNORED
from icapd.lists.formats.domains import plain_or_rest, read_line
from icapd.lists.formats.hashes import HEX, hash_entry
from icapd.lists.formats.networks import COMMENT, network_entry
from icapd.lists.formats.urls import url_entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.lists.entry import Item, Readable

_FIRST = re.compile(r"[\s,;:|]")
_NETWORK = re.compile(r"(?:[0-9.]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)/[0-9]{1,3}")


def read_mixed(stream: Readable) -> Iterator[Item]:
    """Yield the entries of a file of lines."""
    return plain_or_rest(stream, _read_line)


def _read_line(number: int, line: str) -> Iterator[Item]:
    if HEX.fullmatch(_FIRST.split(line, maxsplit=1)[0]):  # elsewhere it may be a label or a part of a path
        yield number, *hash_entry(line, "")
        return
    text = COMMENT.sub("", line).strip()
    network = network_entry(text)
    if network[0] != IGNORED or _NETWORK.fullmatch(text):
        yield number, *network
    elif "/" in text:
        for entry in url_entries(text):
            yield number, *entry
    else:
        yield from read_line(number, line)
