"""The lines of a list file, as bytes, with what no list has found out before a parser sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.lists.entry import Readable

MAX_LINE = 8_192  # bytes; Squid itself takes no longer URL
_BLOCK = 1 << 20


def raw_lines(stream: Readable) -> Iterator[tuple[int, bytes]]:
    """Yield (number, line without its end) in blocks; one too long is cut just above MAX_LINE."""
    number = 0
    rest = stream.read(3)
    rest = b"" if rest == b"\xef\xbb\xbf" else rest
    while block := stream.read(_BLOCK):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()[: MAX_LINE + 1]
        yield from enumerate(lines, number + 1)
        number += len(lines)
    for line in rest.split(b"\n"):
        number += 1
        yield number, line


def text_or_why(raw: bytes) -> tuple[str, str]:
    """Return (text, "") of a line, or ("", why it cannot be read)."""
    if len(raw) > MAX_LINE:
        return "", f"longer than {MAX_LINE:,} bytes"
    if b"\0" in raw:
        return "", "a NUL byte (is the file UTF-16?)"
    try:
        return raw.decode("utf-8").strip(), ""
    except UnicodeDecodeError:
        return "", "not UTF-8"


def text_lines(stream: Readable, comments: tuple[str, ...] = ("#",)) -> Iterator[tuple[int, str, str]]:
    """Yield (number, text, "") of each line with content, (number, "", reason) of each that is unreadable."""
    for number, raw in raw_lines(stream):
        text, why = text_or_why(raw)
        if why or (text and not text.startswith(comments)):
            yield number, text, why
