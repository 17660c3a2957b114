"""`icapd lists`: build the index of the policy's lists, say what is in them, and find an entry."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from icapd.cli.options import config_option
from icapd.cli.subject import is_policy
from icapd.config import load_config
from icapd.http import HeadError, normal_host, parse_target
from icapd.lists import load_lists
from icapd.lists.find import Question, find_entries
from icapd.lists.spec import read_specs
from icapd.lists.store import default_cache
from icapd.policy.facts import spellings

if TYPE_CHECKING:
    from icapd.lists import FileReport, ListSet, ListSpec
    from icapd.lists.find import Found

_DIGEST = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{64}")
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def lists() -> None:
    """Build, describe and search the lists of the policy."""


@lists.command()
@config_option
@click.option("--accept-empty", is_flag=True, help="Take lists that were big and are empty now.")
def build(config_file: Path, *, accept_empty: bool) -> int:
    """Build the index of all lists, or find it built. A server reads it at its next start or reload.

    Exit status: 0 good, 2 a file that is missing or is no list.
    """
    cache = default_cache()
    started = datetime.now(UTC)
    loaded = load_lists(_specs(config_file), cache, accept_empty=accept_empty)
    seconds = (datetime.now(UTC) - started).total_seconds()
    entries = sum(report.entries for report in loaded.reports)
    print(f"{len(loaded.names)} lists, {_entries(entries)}, {seconds:.1f} s, in {cache or 'memory only'}")
    return 0


@lists.command()
@config_option
@json_option
@click.argument("names", nargs=-1, metavar="[LIST]...")
def info(config_file: Path, names: tuple[str, ...], *, as_json: bool) -> int:
    """Print each list's entries, and for each of its files what was taken, what was ignored and why.

    Exit status: 0 good, 2 an unknown list, or a file that is missing or is no list.
    """
    specs = _specs(config_file)
    unknown = [name for name in names if name not in {spec.name for spec in specs}]
    if unknown:
        raise click.UsageError(f"there is no list {unknown[0]!r}")
    loaded = load_lists(specs, default_cache())
    reports = [report for report in loaded.reports if not names or report.name in names]
    if as_json:
        print(json.dumps([_info_json(loaded, report.name) for report in reports], indent=2))
        return 0
    for report in reports:
        category = loaded.categories[report.name]
        shown = "" if category == report.name else f", category {category}"
        print(f"{report.name}: {_entries(report.entries)}{shown}")
        for file in report.files:
            print("\n".join(_file_lines(file)))
    return 0


@lists.command()
@config_option
@json_option
@click.argument("term", metavar="HOST|URL|ADDRESS|HASH")
def lookup(config_file: Path, term: str, *, as_json: bool) -> int:
    """Print the lists that hold a name, URL, address or digest, with file and line of each entry.

    Exit status: 0 it is in a list, 1 it is in none, 2 it is none of these, or a list cannot be read.
    """
    question = _question(term)
    specs = _specs(config_file)
    loaded = load_lists(specs, default_cache())
    names = _lists_of(loaded, question)
    chosen = tuple(spec for spec in specs if spec.name in names)
    found = [one for one in find_entries(chosen, question) if one.kind != "except"]
    if as_json:
        print(json.dumps({"term": term, "lists": names, "entries": [_found_json(one) for one in found]}))
    elif not names:
        print(f"none: {term} is in no list")
    for one in found if not as_json else ():
        print(f"{_titled(loaded, one.list)}: {one.file}:{one.line}: {one.entry}")
    return 0 if names else 1


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count:,} entries"


def _specs(config_file: Path) -> tuple[ListSpec, ...]:
    return read_specs(config_file if is_policy(config_file) else load_config(config_file).policy)


def _question(term: str) -> Question:
    if _DIGEST.fullmatch(term):
        return Question(digest=term.lower())
    try:
        if "/" not in term:
            return Question(normal_host(term))
        wire = (term if "://" in term else f"http://{term}").encode().decode("latin-1")
        target = parse_target("GET", wire)
    except HeadError as error:
        raise click.UsageError(f"{error}: give a host, URL, address or digest") from error
    path = target.path or "/"
    return Question(target.host, spellings(path), target.query)


def _lists_of(loaded: ListSet, question: Question) -> list[str]:
    if question.digest:
        return list(loaded.lookup_hash(question.digest))
    names = {*loaded.lookup(question.host)}
    if question.paths:
        names |= {*loaded.lookup_url(question.host, question.paths, question.query)}
    return [name for name in loaded.names if name in names]


def _titled(loaded: ListSet, name: str) -> str:
    category = loaded.categories[name]
    return name if category == name else f"{name} ({category})"


def _found_json(one: Found) -> dict[str, object]:
    return {"list": one.list, "file": str(one.file), "line": one.line, "kind": one.kind, "entry": one.entry}


def _info_json(loaded: ListSet, name: str) -> dict[str, object]:
    report = next(report for report in loaded.reports if report.name == name)
    files = []
    for file in report.files:
        size, age = _size_and_age(Path(file.file))
        files.append({**asdict(file), "size": size, "age": age})
    return {
        "name": name,
        "category": loaded.categories[name],
        "entries": report.entries,
        "digest": loaded.digests[name],
        "files": files,
    }


def _file_lines(file: FileReport) -> list[str]:
    size, age = _size_and_age(Path(file.file))
    count = sum(one.count for one in file.ignored)
    told = f"{file.accepted:,} taken, {count:,} ignored, {size:,} bytes, {_age(age)} old"
    lines = [f"  {file.file}: {file.format}, {told}"]
    for one in file.ignored:
        more = ", …" if one.count > len(one.lines) else ""
        where = "line" if one.count == 1 else "lines"
        lines.append(f"    {one.count:,} x {one.reason} ({where} {', '.join(map(str, one.lines))}{more})")
    return lines


def _size_and_age(path: Path) -> tuple[int, int]:
    """Return a file's size in bytes and its age in seconds."""
    status = path.stat()
    return status.st_size, max(0, int(datetime.now(UTC).timestamp() - status.st_mtime))


def _age(seconds: int) -> str:
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return "0 s"
