"""What was made, by its content: only that is removed again, and only if it still is what was made."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from icapd.errors import IcapdError

NAME = ".icapd-init.json"
Kind = Literal["file", "folder", "tree", "edit"]


@dataclass(frozen=True, slots=True)
class Made:
    """One thing: a file, a folder, a folder with all that is in it, or a file that was there and was edited.

    `digest` is of the content it was given; `backup` holds what an edited file was before.
    """

    path: str
    kind: Kind
    digest: str = ""
    backup: str = ""


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
        return any(each.path == str(path) and each.digest == digest_of(path) for each in self.made)

    def add(self, path: Path, kind: Kind, backup: Path | None = None) -> None:
        """Remember `path` as it is now. At once on disk: what is made after a crash can be undone too."""
        old = [each for each in self.made if each.path == str(path) and each.kind == kind]
        kept = "" if backup is None else str(backup)
        kept = old[0].backup or kept if old else kept
        self.made = [each for each in self.made if each not in old]
        self.made.append(Made(str(path), kind, digest_of(path), kept))
        self._save()

    def folders(self, folder: Path, mode: int = 0o755) -> None:
        """Make `folder` and what it lies in, as far as they are missing."""
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir()
            each.chmod(mode)
            self.add(each, "folder")

    def undo(self, *, really: bool) -> list[str]:
        """Remove what was made, newest first; return a line for each thing. `really` False only tells.

        Raises IcapdError if an edited file was changed since and still names what would be removed.
        """
        self._refuse_half()
        lines: list[str] = []
        kept: list[Made] = []
        gone: set[Path] = {self.file}
        for made in reversed(self.made):
            path = Path(made.path)
            if not (path.exists() or path.is_symlink()):
                continue
            if reason := _reason_to_keep(made, gone):
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
        """Let go of all but `kept`, and of folders that are empty then."""
        self.made, folders = kept, [made for made in reversed(self.made) if made.kind == "folder"]
        if kept:
            self._save()
        else:
            self.file.unlink(missing_ok=True)
        for folder in folders:
            if folder not in kept:
                with suppress(OSError):  # something has come into it meanwhile
                    Path(folder.path).rmdir()

    def _refuse_half(self) -> None:
        for edit in (each for each in self.made if each.kind == "edit"):
            path = Path(edit.path)
            if not path.exists() or digest_of(path) == edit.digest:
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
    if digest_of(path) != made.digest:
        if made.kind == "edit":
            return f"changed since; what it was before is in {made.backup}"
        return "changed since"
    return f"{made.backup} is missing" if made.kind == "edit" and not Path(made.backup).exists() else ""


def _words(line: str) -> list[str]:
    return line.partition("#")[0].split()


def _take_back(made: Made) -> None:
    path = Path(made.path)
    if made.kind == "edit":
        backup = Path(made.backup)
        replace_file(path, backup.read_bytes(), backup.stat().st_mode & 0o777)
        backup.unlink()
    elif made.kind == "tree" and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


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


def replace_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file whole or not at all; one that is there keeps its owner."""
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if path.exists() and os.geteuid() == 0:
                was = path.stat()
                os.fchown(file.fileno(), was.st_uid, was.st_gid)
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
