"""Regular expressions, one a line: squidGuard's `expressions`, read by RE2 and so linear in time.

They are searched for in host/path?query, in any case of letters, as squidGuard does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import re2

from icapd.lists.entry import IGNORED
from icapd.lists.formats.lines import text_lines
from icapd.lists.search import expression_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.lists.entry import Item, Readable

MAX_EXPRESSION = 1 << 16  # bytes of RE2's program for one


def read_expressions(stream: Readable) -> Iterator[Item]:
    """Yield the expressions of a file."""
    options = expression_options(MAX_EXPRESSION)
    for number, text, why in text_lines(stream):
        if why:
            yield number, IGNORED, why
        else:
            yield number, *_entry(text, options)


def _entry(text: str, options: re2.Options) -> tuple[str, str]:
    if "://" in text:
        return IGNORED, "an expression with a scheme: they are held against host/path?query"
    try:
        expression = re2.compile(text, options)
    except re2.error as error:
        why = str(error.args[0].decode() if isinstance(error.args[0], bytes) else error.args[0])
        return IGNORED, f"not an expression RE2 takes: {why.partition(':')[0]}"
    if expression.search("") is not None:
        return IGNORED, "an expression that every URL matches"
    return "expression", text
