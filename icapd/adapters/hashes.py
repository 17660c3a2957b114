"""Digests of everything that is inside a body, in lists with `threat:`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.adapters.urls import threat_name
from icapd.verdicts import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from icapd.content.model import Item
    from icapd.lists import ListSet

BY = "hashes"
FORMATS = frozenset({"SHA-256", "MD5"})  # as reports on list files name them


class HashThreats:
    """Asks the lists of a policy that are threats and hold digests; with none, `is_active` is False."""

    def __init__(self, lists: ListSet) -> None:
        self._lists = lists
        self.is_active = any(
            report.name in lists.threats and any(file.format in FORMATS for file in report.files)
            for report in lists.reports
        )

    def find(self, items: Iterable[Item]) -> Iterator[Finding]:
        """Yield a finding for each item and list that has its MD5 or SHA-256."""
        if not self.is_active:
            return
        for item in items:
            seen = set()
            for digest in (item.sha256, item.md5):
                for name in self._lists.lookup_hash(digest):
                    kind = self._lists.threats.get(name)
                    if kind is None or kind in seen:
                        continue
                    seen.add(kind)
                    called = self._lists.hash_name(digest) or self._lists.categories.get(name, name)
                    yield Finding(kind, threat_name(called), BY, item.path)
