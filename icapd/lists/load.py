"""From the policy's lists to one index: mapped if it was built before, else built and kept."""

from __future__ import annotations

import array
import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import marisa_trie

from icapd.lists.formats import read_domains
from icapd.lists.index import ListIndex, key_of
from icapd.lists.report import MAX_SHOWN, Ignored, ListReport
from icapd.lists.store import FORMAT, Built, open_built, save_built

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

MIN_KEPT = 256_000  # bytes of list files; less is built sooner than a cache is justified
_WIDE = 65_535


@dataclass(frozen=True, slots=True)
class ListSet:
    """All lists of a policy behind one lookup.

    `digest` changes exactly when the names in a list do: not with comments, order or case.
    """

    index: ListIndex
    reports: tuple[ListReport, ...]
    digest: str
    files: tuple[Path, ...]

    def lookup(self, host: str) -> tuple[str, ...]:
        """Return the names of the lists that hold `host` (normal form) or a parent of it."""
        return self.index.lookup(host)


def load_lists(lists: Mapping[str, Sequence[Path]], cache: Path | None = None) -> ListSet:
    """Read the lists (name to files of domains). `cache` is where built indexes are kept.

    Raises OSError (with `filename`) for a file that cannot be read.
    """
    files = tuple(path for paths in lists.values() for path in paths)
    total = sum(path.stat().st_size for path in files)
    if cache is not None and total >= MIN_KEPT:
        built = open_built(cache, _digest(lists, {path: _file_digest(path) for path in files}))
        if built is not None:
            return _list_set(built, files)
    data = {path: path.read_bytes() for path in files}
    read = {name: _read_list(name, paths, data) for name, paths in lists.items()}
    built = build_index({name: names for name, (names, _) in read.items()})
    built.about["reports"] = [_report_json(report) for _, report in read.values()]
    if cache is not None and total >= MIN_KEPT:
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in data.items()}
        save_built(cache, _digest(lists, digests), built)
    return _list_set(built, files)


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(lists: Mapping[str, Sequence[Path]], digests: Mapping[Path, str]) -> str:
    """Return what the built index depends on: format, list names and contents, file names shown."""
    parts = [FORMAT]
    for name, paths in lists.items():
        parts += [name, *(f"{path}\0{digests[path]}" for path in paths), ""]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def build_index(lists: Mapping[str, AbstractSet[str]]) -> Built:
    """Build the index of lists of names in normal form."""
    digests = hashlib.sha256()
    bits: dict[str, int] = {}  # key to the lists it is in, one bit each
    for number, (name, names) in enumerate(lists.items()):
        one = hashlib.sha256("\n".join((name, *sorted(names))).encode())
        digests.update(one.digest())
        for key in map(key_of, names):
            bits[key] = bits.get(key, 0) | 1 << number
    order = tuple(lists)
    masks = {mask: at for at, mask in enumerate(dict.fromkeys(bits.values()))}
    sets = tuple(tuple(name for at, name in enumerate(order) if mask >> at & 1) for mask in masks)
    trie = marisa_trie.Trie(bits)
    groups = array.array("H" if len(sets) <= _WIDE else "I", bytes(0))
    groups.extend([0] * len(trie))
    for key, mask in bits.items():
        groups[trie[key]] = masks[mask]
    about = {
        "lists": order,
        "sets": sets,
        "size": len(trie),
        "width": groups.itemsize,
        "digest": digests.hexdigest(),
    }
    return Built(ListIndex(order, trie, groups, sets), about)


def _read_list(name: str, paths: Sequence[Path], data: Mapping[Path, bytes]) -> tuple[set[str], ListReport]:
    names: set[str] = set()
    reasons: Counter[str] = Counter()
    examples: list[Ignored] = []
    for path in paths:
        for line, domain, reason in read_domains(data[path]):
            if domain is not None:
                names.add(domain)
                continue
            reasons[reason] += 1
            if len(examples) < MAX_SHOWN:
                examples.append(Ignored(str(path), line, reason))
    counts = tuple(reasons.most_common())
    return names, ListReport(name, len(names), reasons.total(), counts, tuple(examples))


def _report_json(report: ListReport) -> list[object]:
    examples = [[each.file, each.line, each.reason] for each in report.examples]
    return [report.name, report.accepted, report.ignored, report.reasons, examples]


def _list_set(built: Built, files: tuple[Path, ...]) -> ListSet:
    reports = tuple(
        ListReport(
            name,
            accepted,
            ignored,
            tuple((str(reason), int(count)) for reason, count in reasons),
            tuple(Ignored(*each) for each in examples),
        )
        for name, accepted, ignored, reasons, examples in built.about["reports"]
    )
    return ListSet(built.index, reports, built.about["digest"], files)
