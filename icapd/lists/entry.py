"""What a line of a list file gives."""

from __future__ import annotations

Item = tuple[int, str, str]
"""(line, kind, value): a "name" in normal form, "exact" (the name alone), "except" (not this name, nor
what is below it), "url" (host, path and perhaps query, joined by FIELD), "range" ("4 FIRST LAST"),
"md5", "sha256" (hexadecimal, lower case), "expression", or IGNORED with the reason as value."""

IGNORED = "ignored"
FIELD = "\x1f"
