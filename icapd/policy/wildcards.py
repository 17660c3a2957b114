"""Patterns in which `*` stands for any text, matched in linear steps."""

from __future__ import annotations

Wildcard = tuple[str, ...]  # "a*b" is ("a", "b"); without a star one part


def read_wildcard(text: str) -> Wildcard:
    """Split a pattern at its stars."""
    return tuple(text.split("*"))


def fits(pattern: Wildcard, text: str) -> bool:
    """Match the whole of `text`: the parts between the stars left to right."""
    if len(pattern) == 1:
        return text == pattern[0]
    first, *middle, last = pattern
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
