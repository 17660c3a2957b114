"""Synthetic domain lists and the hosts to ask for, made once and kept in a cache outside the repository."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SEED = 20260101  # the same lists everywhere, so that two machines can be compared
_SYLLABLES = ("ba", "ko", "mi", "ne", "ta", "ru", "lo", "si", "ve", "da", "po", "ze", "ga", "xi", "fu", "ha")
_SUFFIXES = ("com", "net", "org", "de", "ru", "info", "io", "co.uk", "com.br", "xyz")
_ASKED = 4000  # hosts the generator goes round; more would only cost it memory


@dataclass(frozen=True, slots=True)
class Domains:
    """Files of one host a line: the list; hosts of which a quarter are on it; hosts of which none is."""

    listed: Path
    quarter: Path
    missing: Path


def cache_directory() -> Path:
    """Return $ICAPD_BENCH_CACHE, or icapd-bench below the user's cache directory; made if missing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(os.environ.get("ICAPD_BENCH_CACHE") or Path(base) / "icapd-bench")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def make_domains(directory: Path, count: int) -> Domains:
    """Return the files for a list of `count` domains, making what is missing (1 M: some seconds)."""
    base = directory / f"domains-{_SEED}-{count}"
    found = Domains(base / "listed.txt", base / "quarter.txt", base / "missing.txt")
    if found.missing.exists():  # written last
        return found
    base.mkdir(exist_ok=True)
    source = random.Random(_SEED)
    names: set[str] = set()
    while len(names) < count:
        names.add(_name(source))
    listed = sorted(names)
    blocked = source.sample(listed, min(_ASKED // 4, count))
    missing: set[str] = set()
    while len(missing) < 3 * len(blocked):
        name = _name(source)
        if name not in names:
            missing.add("www." + name)
    misses = sorted(missing)
    source.shuffle(misses)
    hits = [name if number % 2 else "www." + name for number, name in enumerate(blocked)]
    both = [*hits, *misses]
    source.shuffle(both)
    _write(found.listed, listed)
    _write(found.quarter, both)
    _write(found.missing, misses)
    return found


def _name(source: random.Random) -> str:
    word = "".join(source.choices(_SYLLABLES, k=source.randint(3, 6)))
    return f"{word}{source.randint(0, 9999)}.{source.choice(_SUFFIXES)}"


def _write(path: Path, lines: Iterable[str]) -> None:
    partial = path.with_suffix(".part")
    partial.write_text("\n".join(lines) + "\n")
    partial.replace(path)
