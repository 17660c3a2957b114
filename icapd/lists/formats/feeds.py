"""Feeds of phishing and malware URLs: PhishTank's JSON and CSV, URLhaus's CSV and other tables with a URL."""

from __future__ import annotations

import codecs
import csv
import json
import re
from typing import TYPE_CHECKING

from icapd.lists.entry import IGNORED
from icapd.lists.formats.lines import raw_lines, text_or_why
from icapd.lists.formats.urls import url_entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.lists.entry import Item, Readable

_BLOCK = 1 << 20
MAX_OBJECT = 1 << 18  # characters of one object
_SPACE = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()


def read_csv(stream: Readable) -> Iterator[Item]:
    """Yield the URLs in the column `url` of a CSV file whose first line, or first comment, names it.

    A URL's status does not matter: a server that was taken down comes back.
    """
    column: int | None = None
    for number, raw in raw_lines(stream):
        text, why = text_or_why(raw)
        if why:
            yield number, IGNORED, why
        elif text.startswith("#"):
            names = _names(text.lstrip("# "))
            column = names.index("url") if column is None and "url" in names else column
        elif text:
            row = _fields(text)
            if column is None:
                names = _names(text)
                if "url" in names:
                    column = names.index("url")
                    continue
                column = next((at for at, field in enumerate(row) if "://" in field), None)
            yield from _row(number, row, column)


def _names(text: str) -> list[str]:
    return [name.strip().lower() for name in _fields(text)]


def _fields(text: str) -> list[str]:
    try:
        return next(csv.reader([text]), [])
    except csv.Error:  # a carriage return within
        return []


def _row(number: int, row: list[str], column: int | None) -> Iterator[Item]:
    if column is None or column >= len(row):
        yield number, IGNORED, "a row without a URL"
        return
    for entry in url_entries(row[column].strip()):
        yield number, *entry


def read_json(stream: Readable) -> Iterator[Item]:
    """Yield the URLs of a JSON list of objects with `url`, or of URLs; lines are those of the file.

    Read object by object: the file may be large and may be cut short, which is told.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    text, line, opened = "", 1, False
    while block := stream.read(_BLOCK):
        text += decoder.decode(block)
        if not opened and (text := text.lstrip()):
            opened, text = True, text.removeprefix("[")
        at = 0
        while (start := _SPACE.match(text, at).end()) < len(text):  # type: ignore[union-attr]
            line += text.count("\n", at, start)
            at = start
            if text[at] == "]":
                return
            try:
                value, end = _DECODER.raw_decode(text, at)
            except (ValueError, RecursionError):
                break  # not whole yet
            yield from _object(line, value)
            line += text.count("\n", at, end)
            at = end
        text = text[at:]
        if len(text) > MAX_OBJECT:
            break
    yield line, IGNORED, "cut short, or not JSON from here on"


def _object(line: int, value: object) -> Iterator[Item]:
    url = value.get("url") if isinstance(value, dict) else value
    if not isinstance(url, str):
        yield line, IGNORED, "no URL in it"
        return
    for entry in url_entries(url.strip()):
        yield line, *entry
