"""What was made, by its content: only that is removed again, and only if it still is what was made.

Everything is noted before it is made. A run that is killed leaves a note of what is not there, or of what is
as it was; the next run and undo understand both.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = ".icapd-init.json"
_MAKING = ".icapd-init"  # ends the name of a file or folder that is not whole yet
Kind = Literal["file", "folder", "tree", "edit", "scratch"]


@dataclass(frozen=True, slots=True)
class Made:
    """One thing: a file, a folder, a tree (with all in it), an edited file, or scratch (renamed later).

    `digest` is of the content it was given, `before` of what was there then, "" of nothing; `backup` holds
    what an edited file was before. A tree that `belongs` to a file is changed by others and goes with it.
    """

    path: str
    kind: Kind
    digest: str = ""
    backup: str = ""
    before: str = ""
    belongs: str = ""


class Manifest:
    """The record of what `icapd init` made for a configuration, kept beside it."""

    def __init__(self, folder: Path) -> None:
        """Read that of `folder`, empty if there is none. Raises IcapdError if it is none."""
        self.file = folder / NAME
        self.made: list[Made] = []
        try:
            self.made = [Made(**each) for each in json.loads(self.file.read_text(encoding="utf-8"))["made"]]
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError) as error:
            why = getattr(error, "strerror", None) or "is no record of icapd init"
            raise IcapdError(f"{self.file}: {why}") from None

    def is_ours(self, path: Path) -> bool:
        """Whether `path` was made here and is as it was made."""
        return any(each.path == str(path) and _is_as_made(each) for each in self.made)

    def add(
        self,
        path: Path,
        kind: Kind,
        backup: Path | None = None,
        *,
        digest: str | None = None,
        belongs: Path | None = None,
    ) -> None:
        """Remember `path`, at once on disk: as it is now, or as it will be (`digest`) before it is made."""
        old = [each for each in self.made if each.path == str(path) and each.kind == kind]
        kept = "" if backup is None else str(backup)
        if old and Path(old[0].backup).is_file():
            kept = old[0].backup
        now = digest_of(path) if _is_there(path) else ""
        before = "" if digest is None else now
        self.made = [each for each in self.made if each not in old]
        of = "" if belongs is None else str(belongs)
        self.made.append(Made(str(path), kind, now if digest is None else digest, kept, before, of))
        self._save()

    def folders(self, folder: Path, mode: int = 0o755) -> None:
        """Make `folder` and what it lies in, as far as they are missing."""
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            self.add(each, "folder")
            each.mkdir(mode, exist_ok=True)  # the record may be in it
            each.chmod(mode)

    def scratch(self, beside: Path) -> Path:
        """Return a path beside `beside` where nothing is, for what gets its name once it is whole."""
        self.folders(beside.parent)
        path = making(beside)
        self.add(path, "scratch")
        _remove(path)
        return path

    def forget(self, path: Path) -> None:
        """Let go of `path`: nothing of it is there any more."""
        self.made = [each for each in self.made if each.path != str(path)]
        self._save()

    def undo(self, *, really: bool) -> list[str]:
        """Remove what was made, newest first; return a line for each thing. `really` False only tells.

        Raises IcapdError if an edited file was changed since and still names what would be removed.
        """
        self._refuse_half()
        lines: list[str] = []
        kept: list[Made] = []
        gone = {self.file, *(making(path) for path in (self.file, *(Path(made.path) for made in self.made)))}
        for made in reversed(self.made):
            path = Path(made.path)
            if really:
                for name in filter(None, (made.path, made.backup)):
                    _remove(making(Path(name)))
            if not _is_there(path) or (made.kind == "scratch" and not really):
                continue
            if made.kind == "scratch":
                _remove(path)
                continue
            goes_along = any(each.path == made.belongs and _is_as_made(each) for each in self.made)
            reason = "" if goes_along and made.belongs else _reason_to_keep(made, gone)
            if reason:
                kept.insert(0, made)
                lines.append(f"kept     {path}: {reason}")
                continue
            gone.add(path)
            lines.append(f"{'restored' if made.kind == 'edit' else 'removed '} {path}")
            if really and made.kind != "folder":
                _take_back(made)
        if really:
            self._keep(kept)
        return lines

    def _keep(self, kept: list[Made]) -> None:
        """Let go of all but `kept`, and of folders that are empty then; of the record as late as can be."""
        folders = [
            Path(made.path) for made in reversed(self.made) if made.kind == "folder" and made not in kept
        ]
        around = [folder for folder in folders if folder in self.file.parents]
        _remove_folders(folder for folder in folders if folder not in around)
        self.made = kept
        if kept:
            self._save()
        else:
            making(self.file).unlink(missing_ok=True)
            self.file.unlink(missing_ok=True)
        _remove_folders(around)

    def _refuse_half(self) -> None:
        for edit in (each for each in self.made if each.kind == "edit"):
            path = Path(edit.path)
            if not path.exists() or _is_as_made(edit):
                continue
            words = {word for line in path.read_text(errors="replace").splitlines() for word in _words(line)}
            if needed := words & {each.path for each in self.made if each.kind == "file"}:
                why = f"it was changed since, and still names {', '.join(sorted(needed))}"
                raise IcapdError(f"{path}: {why}; take that line out, then undo (before: {edit.backup})")

    def _save(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"version": 1, "made": [asdict(each) for each in self.made]}, indent=1)
        replace_file(self.file, text.encode(), 0o600)


def _reason_to_keep(made: Made, gone: set[Path]) -> str:
    """Say why it stays, "" if it does not; `gone` is what goes before it."""
    path = Path(made.path)
    if made.kind == "folder":
        left = sum(each not in gone for each in path.iterdir()) if path.is_dir() else 1
        return "not empty" if left else ""
    if not _is_as_made(made):
        if made.kind == "edit":
            return f"changed since; what it was before is in {made.backup}"
        return "changed since"
    if made.kind == "edit" and not Path(made.backup).exists() and digest_of(path) != made.before:
        return f"{made.backup} is missing"
    return ""


def _is_as_made(made: Made) -> bool:
    return digest_of(Path(made.path)) in {made.digest, made.before}


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_folders(folders: Iterable[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # it is gone, or something has come into it meanwhile
            folder.rmdir()


def _words(line: str) -> list[str]:
    return line.partition("#")[0].split()


def _take_back(made: Made) -> None:
    path, backup = Path(made.path), Path(made.backup)
    if made.kind != "edit":
        _remove(path)
    elif backup.is_file():
        replace_file(path, backup.read_bytes(), backup.stat().st_mode & 0o777)
        backup.unlink()


def digest_of(path: Path) -> str:
    """Return the SHA-256 of what is there: of a file's bytes, a link's target, all that a folder holds."""
    found = hashlib.sha256()
    if path.is_symlink():
        found.update(b"link " + os.fsencode(path.readlink()))
    elif path.is_dir():
        for each in sorted(path.rglob("*")):
            found.update(os.fsencode(each.relative_to(path)) + b"\0")
            found.update(b"" if each.is_dir() else digest_of(each).encode())
    elif path.exists():
        found.update(path.read_bytes())
    return found.hexdigest()


def digest_of_file(data: bytes) -> str:
    """Return what digest_of will be of a file with `data`."""
    return hashlib.sha256(data).hexdigest()


def digest_of_link(target: Path) -> str:
    """Return what digest_of will be of a link to `target`."""
    return hashlib.sha256(b"link " + os.fsencode(target)).hexdigest()


def making(path: Path) -> Path:
    """Return the name under which `path` is made, until it is whole."""
    return path.with_name(f".{path.name}{_MAKING}")


def replace_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file whole or not at all; one that is there keeps its owner."""
    new = making(path)
    new.unlink(missing_ok=True)  # of a run that was killed
    opened = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(opened, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(opened, mode)
            if path.exists() and os.geteuid() == 0:
                was = path.stat()
                os.fchown(opened, was.st_uid, was.st_gid)
            os.fsync(opened)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
