"""Names that nobody's list may hold: public suffixes such as com and co.uk."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

import publicsuffixlist

_END = "===END ICANN DOMAINS==="


def suffix_version() -> str:
    """Return the version of the list of suffixes; an index built with another is built again."""
    return version("publicsuffixlist")


def is_public_suffix(name: str) -> bool:
    """Tell whether `name` (A-labels, at least one dot) is a suffix under which anybody registers.

    Of the ICANN part only: github.io is a site of somebody's, and a list of blogs may hold it.
    """
    rules = _rules()
    if name in rules:
        return True
    parent = name.partition(".")[2]
    return f"*.{parent}" in rules and f"!{name}" not in rules


@cache
def _rules() -> frozenset[str]:
    """Read the library's copy of the list; its own lookup takes ten times a set's."""
    rules: set[str] = set()
    with open(publicsuffixlist.PSLFILE, encoding="utf-8") as stream:  # noqa: PTH123  (a path of the library's)
        for line in stream:
            if _END in line:
                break
            rule = line.strip()
            if rule and not rule.startswith("//"):
                mark = rule[: len(rule) - len(rule.lstrip("!*."))]
                rules.add(mark + rule[len(mark) :].encode("idna").decode("ascii"))
    return frozenset(rules)
