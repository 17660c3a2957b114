"""`icapd ca`: the CA that Squid signs decrypted sites with, from its making to its successor."""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from icapd.cli.options import config_option
from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.pki import (
    INTERMEDIATE_DAYS,
    BumpCa,
    KeyKind,
    check_bump_ca,
    database_findings,
    findings,
    install_page,
    make_bump_ca,
    make_certgen_db,
    make_intermediate,
    make_root,
    mobile_profile,
    next_of,
    read_certificate,
    renew,
    root_of,
    switch,
    to_der,
    trusted_of,
)

if TYPE_CHECKING:
    from icapd.config import SquidSettings

_CA_DAYS = 1825
_TRUST = """\
Clients must trust it before they meet a decrypted site (give them only the certificate, never {pem}):
  Debian    cp {crt} /usr/local/share/ca-certificates/ && update-ca-certificates
  Windows   certutil -addstore Root {name}        (or Group Policy: Trusted Root Certification Authorities)
  macOS     security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {name}
  Firefox   policies.json: {{"policies": {{"Certificates": {{"Install": ["{name}"]}}}}}}
  Chromium on Linux   certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n icapd -i {crt}
A page that shows users how: icapd ca export --format install --out trust.html
"""
_SWITCH = """\
# Next: give the new certificate to all clients beside the old one (icapd ca export holds both).
# When they trust it: icapd ca switch"""
_SWITCHED = """\
# Next, at once: restart Squid, so that it uses them. Clients that trust the old one alone see errors from
# now on; to go back, give the files their old names."""
_name_option = click.option(
    "--name", help="Its name, as certificate viewers show it.  [default: icapd on HOST]"
)
_days_option = click.option(
    "--days", type=click.IntRange(1, 7300), help="Valid so long.  [default: 1825; an intermediate 365]"
)
_key_option = click.option(
    "--key", type=click.Choice(["rsa", "ec"]), default="rsa", show_default=True, help="Its kind."
)
_permit_option = click.option(
    "--permit", multiple=True, metavar="DOMAIN", help="Let it sign for DOMAIN and below only; repeatable."
)


@click.group()
def ca() -> None:
    """Make, show, export or renew the CA of decrypted sites."""


@ca.command()
@config_option
@_name_option
@_days_option
@_key_option
@_permit_option
@click.option("--intermediate", is_flag=True, help="Make a root, and an intermediate of a year for Squid.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PEM",
    help="Make an intermediate under this root (certificate and key) instead of a new one.",
)
def create(
    config_file: Path,
    name: str | None,
    days: int | None,
    key: KeyKind,
    permit: tuple[str, ...],
    *,
    intermediate: bool,
    root: Path | None,
) -> int:
    """Make the bump CA and Squid's certificate database where the configuration has them.

    The key file is made 0400 in a directory 0700, the database 0700 and Squid's user's. A CA that
    exists is kept, and so is a database beside it; if both exist that is an error.
    """
    settings = load_config(config_file).squid
    if _is_there(settings):
        print(f"{settings.ca} (kept)")
    else:
        made = _made(
            settings.ca, root, name=name or _default_name(), days=days, key=key, permit=permit,
            intermediate=intermediate or root is not None,
        )  # fmt: skip
        print(made.pem)
        print(made.certificate)
    make_certgen_db(settings.ssl_db, certgen=settings.certgen)
    print(settings.ssl_db)
    print("# Next: icapd ca show (how clients trust it), icapd squid-conf")
    return 0


def _is_there(settings: SquidSettings) -> bool:
    """Whether there is a CA to make a database for. Raises IcapdError if nothing is to be made."""
    has_ca, has_db = settings.ca.exists(), settings.ssl_db.exists()
    if has_ca and has_db:
        msg = f"{settings.ca}: exists, and a CA is never written over; nothing done"
        raise IcapdError(msg)
    if has_db:
        msg = f"{settings.ssl_db}: exists, but not its CA {settings.ca}; remove it, it is another CA's"
        raise IcapdError(msg)
    if has_ca:
        check_bump_ca(settings.ca)
    return has_ca


def _made(
    path: Path,
    root: Path | None,
    *,
    name: str,
    days: int | None,
    key: KeyKind,
    permit: tuple[str, ...],
    intermediate: bool,
) -> BumpCa:
    now, stem = datetime.now(UTC), _stem(path)
    if not intermediate:
        return make_bump_ca(
            path.parent, name=name, now=now, days=days or _CA_DAYS, key=key, stem=stem, permit=permit
        )
    files = BumpCa(path, path.with_name(f"{stem}.crt"))
    if days is not None and days > INTERMEDIATE_DAYS:
        msg = f"an intermediate is for {INTERMEDIATE_DAYS} days at most, not {days}"
        raise IcapdError(msg)
    if root is None:
        root = make_root(path, name=f"{name[:59]} root", now=now, key=key).pem
        print(f"{root} (root: needed to renew only; move it to a medium that you lock away)")
    return make_intermediate(
        files, name=name, now=now, days=days or INTERMEDIATE_DAYS, root=root, key=key, permit=permit
    )


@ca.command()
@config_option
@click.option("--pem", is_flag=True, help="Print what clients trust alone, in PEM form, to give to them.")
def show(config_file: Path, *, pem: bool) -> int:
    """Show the bump CA: name, dates, fingerprint, bounds, and how clients come to trust it.

    Exit status: 0 good, 1 if it is expired, no CA, or its key or Squid's database is open to others.
    """
    settings = load_config(config_file).squid
    path = settings.ca
    trusted = trusted_of(path)
    if pem:
        print("".join(read_certificate(each).pem for each in trusted or (path,)), end="")
        return 0
    now = datetime.now(UTC)
    _describe(path, now)
    if read_certificate(path).subject != read_certificate(path).issuer:
        print("\nsigned by, and trusted by clients as:")
        _describe(path.with_suffix(".crt"), now)
    if next_of(path).pem.exists():
        print("\nits successor (`icapd ca switch` puts it in its place):")
        _describe(next_of(path).pem, now)
    crt = path.with_suffix(".crt")
    print("\n" + _TRUST.format(pem=path, crt=crt, name=crt.name), end="")
    found = [*findings(path, now), *database_findings(settings.ssl_db)]
    for finding in found:
        print(f"icapd: {finding.text}", file=sys.stderr)
    return int(any(finding.level == "error" for finding in found))


def _describe(path: Path, now: datetime) -> None:
    facts = read_certificate(path)
    left = (facts.not_after - now).days
    print(f"file         {path}")
    print(f"subject      {facts.subject}")
    print(f"key          {facts.key}")
    print(f"not before   {facts.not_before:%Y-%m-%d %H:%M:%SZ}")
    print(f"not after    {facts.not_after:%Y-%m-%d %H:%M:%SZ}  ({left} days left)")
    print(f"signs for    {', '.join(facts.permit) or 'any site'}")
    print(f"SHA-256      {facts.sha256}")


@ca.command()
@config_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["pem", "der", "mobileconfig", "install"]),
    default="pem",
    show_default=True,
    help="pem and mobileconfig hold the successor too; install is a page for users.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it here, a new file.")
def export(config_file: Path, form: str, out: Path | None) -> int:
    """Write what clients trust: never the key.

    While a successor waits, it goes with the one in use (DER holds one certificate: the successor).
    """
    path = load_config(config_file).squid.ca
    facts = [read_certificate(each) for each in trusted_of(path) or (path,)]
    match form:
        case "der":
            data = to_der(facts[-1])
        case "mobileconfig":
            data = mobile_profile(facts)
        case "install":
            data = install_page(facts).encode()
        case _:
            data = "".join(each.pem for each in facts).encode("ascii")
    if out is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return 0
    with out.open("xb") as file:
        file.write(data)
    print(out)
    return 0


@ca.command("renew")
@config_option
@_name_option
@_days_option
@_key_option
@_permit_option
def renew_ca(
    config_file: Path, name: str | None, days: int | None, key: KeyKind, permit: tuple[str, ...]
) -> int:
    """Make the successor beside the CA in use, which stays in use until `icapd ca switch`.

    Under a root (ca-root.pem beside it) only the intermediate is new, and clients need nothing.
    """
    path = load_config(config_file).squid.ca
    name = name or _default_name(datetime.now(UTC))
    made = renew(path, name=name, now=datetime.now(UTC), days=days or _CA_DAYS, key=key, permit=permit)
    print(made.pem)
    print(made.certificate)
    under_root = root_of(path).pem.exists()
    print("# Next: icapd ca switch (clients trust its root already)" if under_root else _SWITCH)
    return 0


@ca.command("switch")
@config_option
def switch_ca(config_file: Path) -> int:
    """Put the successor in use, with a new certificate database; the old ones are kept under other names."""
    settings = load_config(config_file).squid
    for kept in switch(settings.ca, settings.ssl_db, certgen=settings.certgen):
        print(f"{kept} (kept)")
    print(settings.ca)
    print(settings.ssl_db)
    print(_SWITCHED)
    return 0


def _default_name(now: datetime | None = None) -> str:
    host = f"icapd on {socket.gethostname()}"
    return host[:64] if now is None else f"{host[:53]} {now:%Y-%m-%d}"


def _stem(path: Path) -> str:
    """The name make_bump_ca is to use, so that the file is `path`."""
    if path.suffix != ".pem":
        msg = f"squid.ca {path}: a CA made by icapd is called *.pem"
        raise IcapdError(msg)
    return path.stem
