"""What stands under `lists:` of a policy: which files make up each list, and what they hold.

lists:
  adult:   {folder: /var/lib/ut1/adult, category: Adult}     # domains, urls, expressions
  ut1:     {folder: /var/lib/ut1}                            # a list of each subfolder, and all of them
  malware: {files: [urlhaus.csv, hosts.txt]}                 # each file's format is found out
  phish:   {urls: p.txt, threat: phishing}                   # what is in it is scanned for, and blocked
  bad:     {domains: d.txt, urls: u.txt, expressions: e.txt, cidr: n.txt, sha256: s.txt, md5: m.txt}
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from icapd.errors import ConfigErrors
from icapd.source import read_document, validate
from icapd.verdicts import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from icapd.errors import ConfigError
    from icapd.source import Document, Place

KINDS = ("domains", "urls", "expressions", "cidr", "sha256", "md5")
FOLDER_FILES = ("domains", "urls", "expressions")  # squidGuard's names
_SOURCES = (*KINDS, "folder", "files")

_Paths = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    Field(min_length=1),
]


class ListText(BaseModel):
    """One list as it is written: files and folders, relative to the policy's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    domains: _Paths | None = None
    urls: _Paths | None = None
    expressions: _Paths | None = None
    cidr: _Paths | None = None
    sha256: _Paths | None = None
    md5: _Paths | None = None
    folder: _Paths | None = None
    files: _Paths | None = None
    category: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    threat: Literal["malware", "phishing", "malicious_url"] | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One file. `kind` is one of KINDS, or "files": what it holds is found out by reading it."""

    path: Path
    kind: str


@dataclass(frozen=True, slots=True)
class ListSpec:
    """One list: its files, the category it is shown under (None: its name), the threat its entries are."""

    name: str
    sources: tuple[Source, ...]
    category: str | None = None
    threat: Kind | None = None


class _Lists(BaseModel):
    """The lists of a policy, whatever else is in it."""

    lists: dict[str, ListText] = {}


def read_specs(policy: Path) -> tuple[ListSpec, ...]:
    """Return the lists of a policy file, whatever its rules are like. Raises ConfigErrors."""
    document = read_document(policy)
    specs, errors = list_specs(document, validate(document, _Lists).lists, policy.parent)
    if errors:
        raise ConfigErrors(errors)
    return specs


def list_specs(
    document: Document, texts: Mapping[str, ListText], folder: Path
) -> tuple[tuple[ListSpec, ...], list[ConfigError]]:
    """Return the lists that `texts` describe, and every fault: what is missing or cannot be read.

    `folder` is the policy's. A folder of folders yields a list NAME of everything in it and
    one list NAME/SUBFOLDER of each, with SUBFOLDER as its category.
    """
    specs: dict[str, ListSpec] = {}
    faults: list[tuple[Place, str]] = []
    for name, text in texts.items():
        place: Place = ("lists", name)
        if not name.isprintable() or not name.strip():
            faults.append((place, "a list's name has no control characters"))
        if not any(getattr(text, key) for key in _SOURCES):
            faults.append((place, f"list {name!r} names no file: one of {', '.join(_SOURCES)} does"))
        for spec in _with_members(name, text, folder, faults):
            if spec.name in specs:
                faults.append((place, f"list {spec.name!r} is there twice"))
            specs[spec.name] = spec
    return tuple(specs.values()), [document.error(place, message) for place, message in faults]


def _with_members(
    name: str, text: ListText, folder: Path, faults: list[tuple[Place, str]]
) -> Iterator[ListSpec]:
    """Yield the list itself, then the lists that its subfolders are."""
    sources: list[Source] = []
    members: list[ListSpec] = []
    threat = None if text.threat is None else Kind(text.threat)
    for kind in (*KINDS, "files"):
        for at, written in enumerate(getattr(text, kind) or ()):
            path = folder / written
            if reason := why_unreadable(path):
                message = f"list {name!r}: {str(path)!r} cannot be read: {reason}"
                faults.append((("lists", name, kind, at), message))
            sources.append(Source(path, kind))
    for at, written in enumerate(text.folder or ()):
        path = folder / written
        try:
            sources += _folder_sources(path)
            members += [
                replace(each, name=f"{name}/{each.name}", threat=threat) for each in _subfolders(path)
            ]
        except OSError as error:
            message = f"list {name!r}: {str(path)!r} cannot be read: {error.strerror or error}"
            faults.append((("lists", name, "folder", at), message))
            continue
        if not sources and not members:
            message = f"list {name!r}: {str(path)!r} holds none of {', '.join(FOLDER_FILES)}"
            faults.append((("lists", name, "folder", at), message))
    found = dict.fromkeys([*sources, *(source for member in members for source in member.sources)])
    yield ListSpec(name, tuple(found), text.category, threat)
    yield from members


def _folder_sources(folder: Path) -> list[Source]:
    here = {entry.name for entry in folder.iterdir()}
    return [Source(_readable(folder / kind), kind) for kind in FOLDER_FILES if kind in here]


def _subfolders(folder: Path) -> Iterator[ListSpec]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and path.name.isprintable():
            sources = _folder_sources(path)
            if sources:
                yield ListSpec(path.name, tuple(sources), path.name)


def _readable(path: Path) -> Path:
    with path.open("rb"):
        return path


def why_unreadable(file: Path) -> str | None:
    """Return why a file cannot be opened and read, or None if it can."""
    try:
        with file.open("rb") as stream:
            stream.read(1)
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def sources_of(specs: Iterable[ListSpec]) -> tuple[Source, ...]:
    """Return every source once, in order."""
    return tuple(dict.fromkeys(source for spec in specs for source in spec.sources))
