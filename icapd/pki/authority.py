"""The life of the bump CA: an intermediate under a root of its own, its successor, what is wrong with it.

Files beside squid.ca, here ca/bump.pem:

    bump.pem, bump.crt                what Squid signs with (0400); what clients trust (maybe a root)
    bump-root.pem, bump-root.crt      the root, if it was wished: its key belongs on a medium in a safe
    bump-next.pem, bump-next.crt      the successor, to be trusted beside the old one until the switch
    bump-until-DATE.pem, .crt         an old one after the switch; nothing is ever removed
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from cryptography.hazmat.primitives import hashes

from icapd.errors import IcapdError
from icapd.pki.make import (
    BumpCa,
    KeyKind,
    as_authority,
    as_pem,
    begin_certificate,
    check_bump_ca,
    create_file,
    load_certificate,
    make_bump_ca,
    make_certgen_db,
    make_directory,
    new_key,
    private_pem,
    read_certificate,
    read_issuer,
    subject_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

INTERMEDIATE_DAYS = 365
ROOT_DAYS = 3650
_SOON = timedelta(days=90)  # the successor must reach every client before
_SOON_UNDER_ROOT = timedelta(days=30)  # clients need nothing new


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or soon will be."""

    level: Literal["error", "warning"]
    text: str


def root_of(ca: Path) -> BumpCa:
    """Return where the root of `ca` (ca/bump.pem) is, or would be."""
    return _beside(ca, "root")


def next_of(ca: Path) -> BumpCa:
    """Return where the successor of `ca` is, or would be."""
    return _beside(ca, "next")


def trusted_of(ca: Path) -> tuple[Path, ...]:
    """Return the certificates that clients should trust now: the one in use, and its successor."""
    paths = (ca.with_suffix(".crt"), next_of(ca).certificate)
    return tuple(path for path in paths if path.exists())


def make_root(
    ca: Path, *, name: str, now: datetime, key: KeyKind = "rsa", permit: Sequence[str] = ()
) -> BumpCa:
    """Make the root of an intermediate `ca`, for ten years. Raises IcapdError as make_bump_ca."""
    root = root_of(ca)
    _refuse_existing(root)
    private, subject = new_key(key), subject_name(name)
    builder = begin_certificate(subject, private, now, ROOT_DAYS, issuer=(private, subject))
    certificate = as_pem(as_authority(builder, depth=1, permit=permit).sign(private, hashes.SHA256()))
    _write(root, certificate + private_pem(private), certificate)
    return root


def make_intermediate(
    ca: BumpCa, *, name: str, now: datetime, days: int, root: Path, key: KeyKind, permit: Sequence[str] = ()
) -> BumpCa:
    """Make a CA of at most a year that `root` (certificate and key, PEM) signs; clients trust the root.

    Raises IcapdError: `root` cannot be read or is no CA, a file exists, `days` are more than 365.
    """
    if days > INTERMEDIATE_DAYS:
        raise IcapdError(f"an intermediate is for {INTERMEDIATE_DAYS} days at most, not {days}")
    _refuse_existing(ca)
    check_bump_ca(root)
    signer = read_issuer(root)
    above = load_certificate(root)
    private = new_key(key)
    end = min(now + timedelta(days=days), above.not_valid_after_utc)
    builder = begin_certificate(subject_name(name), private, now, days, issuer=signer, end=end)
    made = as_pem(as_authority(builder, depth=0, permit=permit).sign(signer[0], hashes.SHA256()))
    # Squid reads certificate and key, then the chain that it sends with what it signs.
    _write(ca, made + private_pem(private) + as_pem(above), as_pem(above))
    return ca


def renew(ca: Path, *, name: str, now: datetime, days: int, key: KeyKind, permit: Sequence[str]) -> BumpCa:
    """Make the successor of `ca` beside it: signed by the root where there is one, else by itself.

    Changes nothing that is in use; `permit` is that of `ca` unless given. Raises IcapdError if there is a
    successor already, or no `ca`.
    """
    check_bump_ca(ca)
    permit = permit or read_certificate(ca).permit  # a bound is not lost by the way
    successor = next_of(ca)
    _refuse_existing(successor)
    root = root_of(ca).pem
    if root.exists():
        days = min(days, INTERMEDIATE_DAYS)
        return make_intermediate(successor, name=name, now=now, days=days, root=root, key=key, permit=permit)
    stem = successor.pem.stem
    return make_bump_ca(ca.parent, name=name, now=now, days=days, key=key, permit=permit, stem=stem)


def switch(ca: Path, ssl_db: Path, *, certgen: Path) -> tuple[Path, ...]:
    """Put the successor in the place of `ca`, and begin another certificate database; return what is kept.

    The old CA and the old database are renamed, never removed. Raises IcapdError if there is no
    successor, or a name is taken.
    """
    successor = next_of(ca)
    check_bump_ca(successor.pem)
    if not os.access(certgen, os.X_OK):
        raise IcapdError(f"{certgen}: no program that can be run; is Squid with OpenSSL installed?")
    until = load_certificate(ca).not_valid_after_utc
    old = _beside(ca, f"until-{until:%Y-%m-%d}")
    old_db = ssl_db.with_name(f"{ssl_db.name}-until-{until:%Y-%m-%d}")
    for path in (old.pem, old.certificate, old_db):
        if path.exists():
            raise IcapdError(f"{path}: exists, and nothing is ever written over; move it away first")
    moves = [
        (ca, old.pem),
        (ca.with_suffix(".crt"), old.certificate),
        (successor.pem, ca),
        (successor.certificate, ca.with_suffix(".crt")),
    ]
    if ssl_db.exists():
        moves.append((ssl_db, old_db))
    try:
        for here, there in moves:
            here.rename(there)
    except OSError as error:
        raise IcapdError(f"{error.filename}: {error.strerror}") from None
    make_certgen_db(ssl_db, certgen=certgen)
    return tuple(there for here, there in moves if there.exists() and here in {ca, ssl_db})


def findings(ca: Path, now: datetime) -> Iterator[Finding]:
    """Yield what is wrong with the bump CA `ca` (certificate and key), or soon will be.

    Raises IcapdError if it cannot be read.
    """
    facts = read_certificate(ca)
    has_root = facts.subject != facts.issuer
    left = facts.not_after - now
    if left <= timedelta():
        yield Finding("error", f"{ca}: expired; `icapd ca renew`, then `icapd ca switch`")
    elif left < (_SOON_UNDER_ROOT if has_root else _SOON):
        yield Finding("warning", f"{ca}: {_advice(ca, left.days, has_root=has_root)}")
    if facts.not_before > now:
        yield Finding("error", f"{ca}: not valid before {facts.not_before:%Y-%m-%d}; is the clock right?")
    if not facts.is_ca:
        yield Finding("error", f"{ca}: its certificate is not a CA's")
    if stat.S_IMODE(ca.stat().st_mode) & 0o077:
        text = "others can read the key; chmod 0400 it, or make another CA if they have"
        yield Finding("error", f"{ca}: {text}")


def database_findings(ssl_db: Path) -> Iterator[Finding]:
    """Yield what of Squid's certificate database others can read: who visits what, and private keys."""
    try:
        paths = [ssl_db, *sorted(ssl_db.iterdir())]
    except OSError:
        return  # not there yet, or closed to us as it should be
    for path in paths:
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        if mode & 0o077:
            wanted = "0700" if path.is_dir() else "0600"
            yield Finding("warning", f"{path}: others can read it (mode {mode:04o}); chmod {wanted} it")


def _advice(ca: Path, days: int, *, has_root: bool) -> str:
    if next_of(ca).pem.exists():
        return f"ends in {days} days; when all clients trust its successor, `icapd ca switch`"
    if has_root:
        return f"ends in {days} days; `icapd ca renew` and `icapd ca switch` (clients need nothing new)"
    return f"ends in {days} days; `icapd ca renew` now, so that clients trust the next one in time"


def _beside(ca: Path, suffix: str) -> BumpCa:
    return BumpCa(ca.with_name(f"{ca.stem}-{suffix}.pem"), ca.with_name(f"{ca.stem}-{suffix}.crt"))


def _refuse_existing(paths: BumpCa) -> None:
    for path in (paths.pem, paths.certificate):
        if path.exists() or path.is_symlink():
            raise IcapdError(f"{path}: exists, and a CA is never written over; move it away to make another")


def _write(paths: BumpCa, private: bytes, public: bytes) -> None:
    make_directory(paths.pem.parent)
    create_file(paths.pem, private, 0o400)
    create_file(paths.certificate, public, 0o444)
