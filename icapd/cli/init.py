"""`icapd init`: everything that makes Squid ask icapd, written after asking, and taken back on demand."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.pki import make_bump_ca, make_certgen_db
from icapd.setup import (
    Manifest,
    configuration,
    difference,
    draft,
    fragments,
    included,
    preview,
    takes_ports,
    write,
)
from icapd.setup.manifest import digest_of, digest_of_file, replace_file
from icapd.squid import parse_check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from icapd.config import Config
    from icapd.setup import Wanted

_UNITS = tuple(
    Path(each) for each in ("/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system")
)
_SYSTEM = Path("/etc/icapd")
_SSL_DB = Path("/var/spool/squid/ssl_db")
_folder = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--dir", "folder", type=_folder, default=_SYSTEM, show_default=True, help="For icapd's files.")
@click.option(
    "--squid-dir", type=_folder, default=Path("/etc/squid"), show_default=True, help="Squid's folder."
)
@click.option(
    "--ssl-db", type=_folder, default=_SSL_DB, show_default=True, help="Squid's certificate database."
)
@click.option("--listen", metavar="URL", help="Where to answer.  [default: systemd:icap with icapd.socket]")
@click.option(
    "--squid", default="/usr/sbin/squid", show_default=True, metavar="PROGRAM", help="Asked to parse."
)
@click.option("-y", "--yes", is_flag=True, help="Answer yes, but do not touch squid.conf.")
@click.option("--edit-squid", is_flag=True, help="With --yes: add the include line to squid.conf too.")
@click.option("--files-only", is_flag=True, help="No CA and nothing of Squid's.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("--undo", is_flag=True, help="Remove what init has made, but for what was changed since.")
def init(
    folder: Path,
    squid_dir: Path,
    ssl_db: Path,
    listen: str | None,
    squid: str,
    *,
    yes: bool,
    edit_squid: bool,
    files_only: bool,
    dry_run: bool,
    undo: bool,
) -> int:
    """Write a configuration, a policy, the CA of decrypted sites and Squid's part, each after asking.

    What is there already stays as it is, so it can be run again. The include line goes into squid.conf only
    if you say so, with a backup, and only if Squid then has no new complaint.
    """
    folder, squid_dir = folder.absolute(), squid_dir.absolute()
    answers = _Answers(yes=yes, edit_squid=edit_squid, dry_run=dry_run)
    more = "" if ssl_db == _SSL_DB else f'squid: {{ssl_db: "{ssl_db.absolute()}"}}\n'
    files = configuration(folder, listen or _default_listen(), in_system=folder == _SYSTEM, squid=more)
    try:
        manifest = Manifest(folder)
        if undo:
            return _undo(manifest, answers)
        run = _Run(manifest, answers, folder, squid_dir, squid)
        run.files(files, f"Write the configuration and a policy to {folder}?")
        return 0 if files_only else run.squids_part(files)
    except PermissionError as error:
        raise IcapdError(f"{error.filename}: {error.strerror}; run it as root") from None


@dataclass(frozen=True, slots=True)
class _Answers:
    """What is asked, and answered by options where they do."""

    yes: bool
    edit_squid: bool
    dry_run: bool

    def to(self, question: str) -> bool:
        return self.dry_run or self.yes or click.confirm(question, default=True)

    def to_editing(self, question: str) -> bool:
        if self.dry_run or self.edit_squid:
            return True
        return not self.yes and click.confirm(question, default=False)


def _default_listen() -> str:
    held = any((each / "icapd.socket").exists() for each in _UNITS)
    return "systemd:icap" if held else "icap://127.0.0.1:1344"


def _undo(manifest: Manifest, answers: _Answers) -> int:
    lines = manifest.undo(really=False)
    if not lines:
        print(f"nothing to undo: {manifest.file} names nothing that is there")
        if not answers.dry_run:
            manifest.undo(really=True)  # the record itself
        return 0
    print("\n".join(lines))
    if answers.dry_run or not answers.to("Do so?"):
        return 0
    for line in manifest.undo(really=True):
        if line.startswith("kept"):
            print(f"icapd: {line}", file=sys.stderr)
    return 0


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of `icapd init`."""

    manifest: Manifest
    answers: _Answers
    folder: Path
    squid_dir: Path
    squid: str

    def files(self, wanted: list[Wanted], question: str) -> None:
        """Write what is wanted, or show it."""
        lines = [line for each in wanted for line in preview(each, self.manifest)]
        if self.answers.dry_run:
            print("\n".join(lines) if lines else f"# {wanted[0].path.parent}: nothing to do")
            return
        if all(line.startswith("# ") for line in lines) or self.answers.to(question):
            for each in wanted:
                done = write(each, self.manifest)
                if each.target is None or done == "written":
                    print(f"{done:9} {each.path}")

    def squids_part(self, files: list[Wanted]) -> int:
        """The CA, the fragment, the include line."""
        out = self.squid_dir / "icapd"
        file = self.folder / "icapd.yaml"
        if self.answers.dry_run and not file.exists():
            pages = draft(files, self.folder, out)
            print(f"# {self.folder}/ca: a CA would be made, and Squid's certificate database")
            self.files(pages, "")
            return self._include(out / "icapd.conf", ("3128",))
        if not file.exists():
            return 0  # Squid's part follows from it
        config = load_config(file)
        if not self._authority(config):
            print("# Squid's part needs the CA: icapd ca create, then icapd init again")
            return 0
        self.files(fragments(config, out), f"Write Squid's part to {out}?")
        if not self.answers.dry_run and not (out / "icapd.conf").exists():
            return 0
        status = self._include(out / "icapd.conf", [port.address for port in config.squid.ports])
        if not self.answers.dry_run:
            print("\n".join(_next_steps()))
        return status

    def _authority(self, config: Config) -> bool:
        """Make the CA and Squid's database, if they are missing; whether Squid can have its part."""
        settings = config.squid
        if not any(port.bump for port in settings.ports):
            return True
        if self.answers.dry_run:
            for path in (settings.ca, settings.ssl_db):
                print(f"# {path}: {'there' if path.exists() else 'would be made'}")
            return True
        if not settings.ca.exists():
            if settings.ssl_db.exists():
                raise IcapdError(
                    f"{settings.ssl_db}: exists without its CA {settings.ca}; remove it, it is another CA's"
                )
            if not self.answers.to(f"Make a CA for decrypted HTTPS, {settings.ca}?"):
                return False
            self._make_authority(settings.ca)
        if not settings.ssl_db.exists():
            if not os.access(settings.certgen, os.X_OK):
                print(f"# {settings.certgen} is missing: install squid-openssl, then icapd init again")
                return False
            made = self.manifest.scratch(settings.ssl_db)
            make_certgen_db(made, certgen=settings.certgen)
            self._place(made, settings.ssl_db, "tree", belongs=settings.ca)
            self.manifest.forget(made)
        return True

    def _make_authority(self, path: Path) -> None:
        """Make the CA aside, then give both files their names: the key's last, for it stands for both."""
        self.manifest.folders(path.parent, 0o700)
        name = f"icapd on {socket.gethostname()}"[:64]
        aside = self.manifest.scratch(path.parent / path.stem)
        made = make_bump_ca(aside, name=name, now=datetime.now(UTC), stem=path.stem)
        for each in (made.certificate, made.pem):
            self._place(each, path.parent / each.name, "file")
        aside.rmdir()
        self.manifest.forget(aside)

    def _place(
        self, made: Path, path: Path, kind: Literal["file", "tree"], belongs: Path | None = None
    ) -> None:
        """Give what was made aside its name, once it is known what it is."""
        if path.exists() and not self.manifest.is_ours(path):
            raise IcapdError(f"{path}: exists, and is never written over; move it away to make another")
        self.manifest.add(path, kind, digest=digest_of(made), belongs=belongs)
        made.replace(path)
        print(f"written   {path}")

    def _include(self, fragment: Path, ports: Sequence[str]) -> int:
        """Add the line to squid.conf, if that is wanted and Squid has nothing against it."""
        conf = (self.squid_dir / "squid.conf").resolve()  # a link stays one
        if not conf.is_file():
            print(f"# {conf} is not there; in Squid's configuration, before its http_access lines:")
            print(f"include {fragment}")
            return 0
        old = conf.read_bytes()
        new = included(old.decode("utf-8", "surrogateescape"), fragment, ports).encode(
            "utf-8", "surrogateescape"
        )
        if new == old:
            print(f"unchanged {conf}")
            return 0
        print("\n".join(difference(conf, old, new)))
        if self.answers.dry_run:
            return 0
        gone = takes_ports(old.decode("utf-8", "replace"), ports)
        question = f"Add the include line to {conf}{' (and make its http_port a comment)' if gone else ''}?"
        if not self.answers.to_editing(question):
            print(f"# {conf} is as it was. By hand, before its http_access lines: include {fragment}")
            return 0
        return self._edit(conf, new)

    def _edit(self, conf: Path, new: bytes) -> int:
        if complaints := list(self._complaints(conf, new)):
            print(f"icapd: {conf} is as it was: Squid would say", file=sys.stderr)
            print("\n".join(f"icapd:   {line}" for line in complaints), file=sys.stderr)
            return 1
        old = conf.read_bytes()
        backup = conf.with_name(f"{conf.name}.before-icapd")
        if backup.exists() and backup.read_bytes() != old:
            backup = conf.with_name(f"{backup.name}.{datetime.now(UTC):%Y%m%d%H%M%S}")
        mode = conf.stat().st_mode & 0o777
        self.manifest.add(conf, "edit", backup, digest=digest_of_file(new))
        if not backup.exists():
            replace_file(backup, old, mode)
        replace_file(conf, new, mode)
        print(f"edited    {conf} (as it was: {backup})")
        return 0

    def _complaints(self, conf: Path, new: bytes) -> Iterator[str]:
        """What Squid says of the edited configuration and does not say of the one that is there."""
        if shutil.which(self.squid) is None:
            return
        candidate = self.manifest.scratch(conf)
        replace_file(candidate, new, 0o600)
        try:
            known = set(parse_check(conf, self.squid))
            yield from (line for line in parse_check(candidate, self.squid) if line not in known)
        finally:
            candidate.unlink()
            self.manifest.forget(candidate)


def _next_steps() -> Iterator[str]:
    yield "# Next: icapd check"
    if Path("/run/systemd/system").is_dir():
        yield "#       systemctl enable --now icapd.socket icapd.service; systemctl restart squid"
    yield "#       icapd ca show (how clients come to trust the CA)"
    yield "#       icapd init --undo takes all of this back"
