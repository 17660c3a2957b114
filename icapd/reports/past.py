"""A policy as it was: made again of the texts that were kept, with its lists as far as they are still there.

Rules keep the places they had. A list's file that the texts hold is written to a scratch folder; one that
is gone is empty there. Whether the lists are the same as then the digest tells, which is of rules and lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icapd.errors import IcapdError
from icapd.lists.spec import KINDS, why_unreadable
from icapd.policy import load_policy
from icapd.source import parse_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from icapd.policy import Policy

_FILES = (*KINDS, "files", "folder")


@dataclass(frozen=True, slots=True)
class Past:
    """`policy` is None if it cannot be made again, and `fault` says why.

    `gone` are the lists of which files are missing today; `same`: rules and lists are exactly as they were.
    """

    text: str
    policy: Policy | None
    gone: tuple[str, ...] = ()
    same: bool = False
    fault: str = ""


def main_text(texts: Mapping[str, str], policy: Path, source: str | None) -> tuple[str, str]:
    """Return name and text of the policy among `texts`: the file that `source` names, or today's."""
    said = (source or "").rpartition(":")[0]
    for wanted in (said, str(policy)):
        for name, text in texts.items():
            if wanted and (name == wanted or Path(name).name == Path(wanted).name):
                return said or name, text
    name, text = next(iter(texts.items()))
    return said or name, text


def made_again(
    texts: Mapping[str, str], digest: str, policy: Path, source: str | None, scratch: Path
) -> Past:
    """Load the policy of `texts` as it would have stood at `policy`; `scratch` is an empty folder."""
    name, text = main_text(texts, policy, source)
    try:
        document = parse_document(text, name)
        value = document.value if isinstance(document.value, dict) else {}
        gone = tuple(_stand_in(value, texts, policy.parent, scratch))
        made = load_policy(policy, document=document)
    except IcapdError as error:
        return Past(text, None, fault=str(error).partition("\n")[0])
    return Past(text, made, gone, made.digest == digest)


def _stand_in(value: dict[str, Any], texts: Mapping[str, str], folder: Path, scratch: Path) -> Iterator[str]:
    """Lead lists to files that are there; yield the names of those of which some is gone."""
    lists = value.get("lists")
    for name, one in (lists if isinstance(lists, dict) else {}).items():
        is_gone = False
        for kind in _FILES if isinstance(one, dict) else ():
            written = one.get(kind)
            paths = [written] if isinstance(written, str) else written if isinstance(written, list) else []
            for at, each in enumerate(map(str, paths)):
                kept = texts.get(each, texts.get(str(folder / each)))
                if kept is None and _is_there(folder / each, kind):
                    continue
                is_gone = is_gone or kept is None
                made = _empty_folder(value, name, scratch) if kind == "folder" else _file(scratch, kept)
                one[kind] = paths = [*paths[:at], str(made), *paths[at + 1 :]]
        if is_gone:
            yield str(name)


def _is_there(path: Path, kind: str) -> bool:
    return path.is_dir() if kind == "folder" else why_unreadable(path) is None


def _file(scratch: Path, text: str | None) -> Path:
    file = scratch / f"list{len(list(scratch.iterdir()))}"
    file.write_text(text or "")
    return file


def _empty_folder(value: dict[str, Any], name: str, scratch: Path) -> Path:
    """Make a folder with an empty list for each of the lists below `name` that a rule asks for."""
    folder = scratch / f"folder{len(list(scratch.iterdir()))}"
    wanted = {text.removeprefix(f"{name}/") for text in _texts(value) if text.startswith(f"{name}/")}
    for part in ("", *sorted(one for one in wanted if "/" not in one and one.isprintable())):
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / part / "domains").touch()
    return folder


def _texts(value: object) -> Iterator[str]:
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            stack += one.values()
        elif isinstance(one, list):
            stack += one


def rule_text(text: str, source: str) -> str:
    """Return the lines of `text` in which the rule at `source` ("file:line") is written, or "".

    A rule begins behind its dash and goes on as far as lines are further in.
    """
    lines = text.splitlines()
    number = source.rpartition(":")[2]
    at = int(number) - 1 if number.isascii() and number.isdigit() else -1
    if not 0 <= at < len(lines):
        return ""
    if at and "-" not in _lead(lines[at]) and lines[at - 1].strip() == "-":
        at -= 1
    depth = _depth(lines[at])
    end = at + 1
    while end < len(lines) and (not lines[end].strip() or _depth(lines[end]) > depth):
        end += 1
    while end > at + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return "\n".join(
        line[depth:].rstrip() if line[:depth].isspace() or not depth else line for line in lines[at:end]
    )


def _lead(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" -"))]


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
