"""The files that `icapd init` wants, with their content, against those that are there."""

from __future__ import annotations

import difflib
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.config import load_config
from icapd.data import read_shared
from icapd.setup.manifest import digest_of_file, digest_of_link, replace_file
from icapd.squid import write_fragments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from icapd.config import Config
    from icapd.setup.manifest import Manifest

_CONFIG = """\
# icapd. `icapd check` prints every other option with its value, and what is wrong with these.
listen: [{listen}]
policy: policy.yaml
{paths}"""
_PATHS = """\
decisions: /var/log/icapd/decisions.log
# What `icapd events`, `why` and `report` search: events.db beside that log.
events: {store: auto, days: 90, megabytes: 1024}
control: /run/icapd/control
"""
_LISTS = ("blocked", "private")  # what the default policy names


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file and what is to be in it. With `target` it is a link there, and `data` is empty."""

    path: Path
    data: bytes
    mode: int = 0o644
    target: Path | None = None
    renewed: bool = False  # made from icapd.yaml: an older one of ours is replaced


def configuration(folder: Path, listen: str, *, in_system: bool, squid: str = "") -> list[Wanted]:
    """Return icapd.yaml, the policy and its lists. `in_system`: log and socket where a service has them.

    `squid` are lines of icapd.yaml about Squid.
    """
    text = _CONFIG.format(listen=f'"{listen}"', paths=_PATHS if in_system else "control: control\n") + squid
    files = {folder / "icapd.yaml": text, folder / "policy.yaml": read_shared("rules", "default.yaml")}
    for name in _LISTS:
        file = f"{name}.domains"
        files[folder / "lists" / file] = read_shared("rules", "lists", file)
    return [Wanted(path, text.encode()) for path, text in files.items()]


def draft(files: Iterable[Wanted], folder: Path, out: Path) -> list[Wanted]:
    """Return the fragments that would follow from `files` of `folder`, none of which is written."""
    with tempfile.TemporaryDirectory(prefix="icapd-init-") as directory:
        for each in files:
            path = Path(directory) / each.path.relative_to(folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(each.data)
        found = fragments(load_config(Path(directory) / "icapd.yaml"), out)
        here, there = os.fsencode(directory), os.fsencode(folder)
        return [replace(each, data=each.data.replace(here, there)) for each in found]


def fragments(config: Config, out: Path) -> list[Wanted]:
    """Return what `icapd squid-conf --out OUT` would write. Raises as write_fragments does."""
    errors = config.squid.error_directory or out / "errors"
    settled = config.squid.model_copy(update={"error_directory": errors})
    found = []
    with tempfile.TemporaryDirectory(prefix="icapd-init-") as directory:
        write_fragments(config.model_copy(update={"squid": settled}), Path(directory))
        for each in sorted(Path(directory).rglob("*")):
            path = out / each.relative_to(directory)
            if each.is_symlink():
                found.append(Wanted(path, b"", target=each.readlink()))
            elif each.is_file():
                found.append(Wanted(path, each.read_bytes(), renewed=True))
    return found


def is_there(wanted: Wanted) -> bool:
    """Whether nothing is to be done."""
    if wanted.target is not None:
        return wanted.path.is_symlink() and wanted.path.readlink() == wanted.target
    return wanted.path.is_file() and wanted.path.read_bytes() == wanted.data


def is_kept(wanted: Wanted, manifest: Manifest) -> bool:
    """Whether something else is there that must stay."""
    path = wanted.path
    if not (path.exists() or path.is_symlink()):
        return False
    return not (wanted.renewed and manifest.is_ours(path)) and not is_there(wanted)


def preview(wanted: Wanted, manifest: Manifest) -> Iterator[str]:
    """Yield what would be done, as a diff."""
    path = wanted.path
    if is_there(wanted):
        return
    if is_kept(wanted, manifest):
        yield f"# {path}: kept as it is"
    elif wanted.target is not None:
        yield f"+ {path} -> {wanted.target}"
    else:
        old = path.read_bytes() if path.exists() else b""
        yield from difference(path, old, wanted.data)


def difference(path: Path, old: bytes, new: bytes) -> Iterator[str]:
    """Yield a unified diff."""
    before, after = (data.decode("utf-8", "replace").splitlines() for data in (old, new))
    yield from difflib.unified_diff(
        before, after, str(path) if old else "/dev/null", str(path), lineterm="", n=1
    )


def write(wanted: Wanted, manifest: Manifest) -> str:
    """Write it if that is to be done; return what was done: written, replaced, unchanged or kept."""
    path = wanted.path
    if is_there(wanted):
        return "unchanged"
    if is_kept(wanted, manifest):
        return "kept"
    replaced = path.exists()
    manifest.folders(path.parent)
    if wanted.target is not None:
        manifest.add(path, "file", digest=digest_of_link(wanted.target))
        path.symlink_to(wanted.target)
    else:
        manifest.add(path, "file", digest=digest_of_file(wanted.data))
        replace_file(path, wanted.data, wanted.mode)
    return "replaced" if replaced else "written"
