"""Macros of block pages and redirect targets: `{name}`, expanded once, escaped by the caller's rule.

One set for pages, redirects and headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MACROS = frozenset(
    {
        "application",
        "category",
        "client_ip",
        "date",
        "decision_id",
        "host",
        "method",
        "mime_type",
        "rule",
        "scan_result",
        "server_name",
        "threat",
        "type",
        "url",
        "user",
        "user_agent",
        "workspace",
    }
)
_MACRO = re.compile(r"\{([a-z_]+)\}")


class MacroError(ValueError):
    """A template that names a macro icapd does not have; the text lists those it has."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with macros, split once at load: literal, macro, literal, …, literal."""

    text: str
    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Split `text` at its macros. Raises MacroError for an unknown name."""
        parts = tuple(_MACRO.split(text))
        unknown = sorted(set(parts[1::2]) - MACROS)
        if unknown:
            msg = f"unknown macro {{{unknown[0]}}}; known are {', '.join(sorted(MACROS))}"
            raise MacroError(msg)
        return cls(text, parts)

    @property
    def names(self) -> frozenset[str]:
        """The macros this template uses."""
        return frozenset(self.parts[1::2])

    def expand(self, values: Mapping[str, str], escape: Callable[[str], str]) -> str:
        """Put each macro's value in its place, passed through `escape` exactly once."""
        out = list(self.parts)
        for i in range(1, len(out), 2):
            out[i] = escape(values.get(out[i], ""))
        return "".join(out)
