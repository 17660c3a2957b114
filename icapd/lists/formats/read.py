"""Which format a file has, and what no list is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from icapd.lists.formats.adblock import read_adblock
from icapd.lists.formats.domains import read_domains
from icapd.lists.formats.expressions import read_expressions
from icapd.lists.formats.feeds import read_csv, read_json
from icapd.lists.formats.hashes import read_hashes
from icapd.lists.formats.mixed import read_mixed
from icapd.lists.formats.networks import read_networks
from icapd.lists.formats.rpz import read_rpz
from icapd.lists.formats.urls import read_urls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from icapd.lists.entry import Item, Readable

    Reader = Callable[[Readable], Iterator[Item]]

HEAD = 1 << 16  # bytes of a file that tell its format

_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|script|\?xml)\b|<!--", re.IGNORECASE)
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_JSON = re.compile(rb"\[\s*(?:[\[{\"\]]|\Z)|\{")
_RPZ = re.compile(rb"^\$(?:TTL|ORIGIN)\b|^[^#!;\r\n]*\s(?:CNAME|SOA)\s", re.MULTILINE | re.IGNORECASE)
_ADBLOCK = re.compile(rb"^(?:\[Adblock|!\s*Title:|@@|\|\|)|#@?#", re.MULTILINE | re.IGNORECASE)
_CSV_ROW = re.compile(rb"^\"[^\"\r\n]*\",\"[^\r\n]*://", re.MULTILINE)


class NoListError(Exception):
    """A file that is no list at all; its text says what it is."""


def read_source(stream: Readable, kind: str, head: bytes) -> tuple[str, Iterator[Item]]:
    """Return the name of the format and the entries of a file. `head` is how it begins.

    A kind that says less than a format ("domains", "urls", "files") is told by the file
    itself. Raises NoListError.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _HTML.match(start):
        raise NoListError("is a web page, not a list (has the download failed?)")
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise NoListError(f"is compressed ({name}): unpack it first")
    name, read = _sniffed(kind, start) or _FORMATS[kind]
    return name, read(stream)


def _sniffed(kind: str, start: bytes) -> tuple[str, Reader] | None:
    if kind in {"urls", "files"}:
        if _JSON.match(start):
            return "JSON", read_json
        if _names_column(start) or _CSV_ROW.search(start):
            return "CSV", read_csv
    if kind in {"domains", "files"}:
        if _ADBLOCK.search(start):
            return "Adblock", read_adblock
        if _RPZ.search(start):
            return "RPZ", read_rpz
    return None


def _names_column(start: bytes) -> bool:
    """Tell whether a comment, or the first line that is none, names a column `url` among others.

    After a comment that does, the first line must have columns too.
    """
    named = False
    for line in start.split(b"\n"):
        columns = [column.strip(b'# \t\r"').lower() for column in line.split(b",")]
        if len(columns) > 1 and b"url" in columns:
            named = True
        if line.strip() and not line.startswith(b"#"):
            return named and len(columns) > 1
    return named


_FORMATS: dict[str, tuple[str, Reader]] = {
    "files": ("lines", read_mixed),
    "domains": ("domains", read_domains),
    "urls": ("URLs", read_urls),
    "expressions": ("expressions", read_expressions),
    "cidr": ("networks", read_networks),
    "sha256": ("SHA-256", lambda stream: read_hashes(stream, "sha256")),
    "md5": ("MD5", lambda stream: read_hashes(stream, "md5")),
}
