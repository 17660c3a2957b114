"""Plain text of any kind: each line a name, a hosts line, a URL, a network or a digest, as it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.lists.entry import IGNORED
from icapd.lists.formats.domains import plain_or_rest, read_line
from icapd.lists.formats.hashes import HEX, hash_entry
from icapd.lists.formats.networks import COMMENT, network_entry
from icapd.lists.formats.urls import url_entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.lists.entry import Item, Readable


def read_mixed(stream: Readable) -> Iterator[Item]:
    """Yield the entries of a file of lines."""
    return plain_or_rest(stream, _read_line)


def _read_line(number: int, line: str) -> Iterator[Item]:
    text = COMMENT.sub("", line)
    if HEX.search(line):
        yield number, *hash_entry(line, "")
    elif (network := network_entry(text))[0] != IGNORED or "/" not in text:
        if network[0] != IGNORED:
            yield number, *network
        else:
            yield from read_line(number, line)
    elif text.partition("/")[0].replace(".", "").isdigit() and text.partition("/")[2].isdigit():
        yield number, *network  # a network, and refused
    else:
        for entry in url_entries(text.strip()):
            yield number, *entry
