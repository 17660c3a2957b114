"""`icapd ca`: make and show the CA that Squid signs decrypted sites with."""

from __future__ import annotations

import socket
import stat
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from icapd.cli.options import config_option
from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.pki import KeyKind, check_bump_ca, make_bump_ca, make_certgen_db, read_certificate

if TYPE_CHECKING:
    from pathlib import Path

_TRUST = """\
Clients must trust it before they meet a decrypted site (give them only the certificate, never {pem}):
  Debian    cp {crt} /usr/local/share/ca-certificates/ && update-ca-certificates
  Windows   certutil -addstore Root {name}        (or Group Policy: Trusted Root Certification Authorities)
  macOS     security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {name}
  Firefox   policies.json: {{"policies": {{"Certificates": {{"Install": ["{name}"]}}}}}}
  Chromium on Linux   certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n icapd -i {crt}
"""


@click.group()
def ca() -> None:
    """Make or show the CA of decrypted sites."""


@ca.command()
@config_option
@click.option("--name", help="The CA's name, as certificate viewers show it.  [default: icapd on HOST]")
@click.option("--days", type=click.IntRange(1, 7300), default=1825, show_default=True, help="Valid so long.")
@click.option("--key", type=click.Choice(["rsa", "ec"]), default="rsa", show_default=True, help="Its kind.")
def create(config_file: Path, name: str | None, days: int, key: KeyKind) -> int:
    """Make the bump CA and Squid's certificate database where the configuration has them.

    The key file is made 0400 in a directory 0700, the database 0700 and Squid's user's. A CA that
    exists is kept, and so is a database beside it; if both exist that is an error.
    """
    settings = load_config(config_file).squid
    has_ca, has_db = settings.ca.exists(), settings.ssl_db.exists()
    if has_ca and has_db:
        msg = f"{settings.ca}: exists, and a CA is never written over; nothing done"
        raise IcapdError(msg)
    if has_db:
        msg = f"{settings.ssl_db}: exists, but not its CA {settings.ca}; remove it, it is another CA's"
        raise IcapdError(msg)
    if has_ca:
        check_bump_ca(settings.ca)
        print(f"{settings.ca} (kept)")
    else:
        name = name or f"icapd on {socket.gethostname()}"[:64]
        made = make_bump_ca(
            settings.ca.parent, name=name, now=datetime.now(UTC), days=days, key=key, stem=_stem(settings.ca)
        )
        print(made.pem)
        print(made.certificate)
    make_certgen_db(settings.ssl_db, certgen=settings.certgen)
    print(settings.ssl_db)
    print("# Next: icapd ca show (how clients trust it), icapd squid-conf")
    return 0


@ca.command()
@config_option
@click.option("--pem", is_flag=True, help="Print the certificate alone, in PEM form, to give to clients.")
def show(config_file: Path, *, pem: bool) -> int:
    """Show the bump CA: name, dates, fingerprint, and how clients come to trust it.

    Exit status: 0 good, 1 if it is expired, no CA, or its key is open to others.
    """
    path = load_config(config_file).squid.ca
    facts = read_certificate(path)
    if pem:
        print(facts.pem, end="")
        return 0
    now = datetime.now(UTC)
    left = (facts.not_after - now).days
    print(f"file         {path}")
    print(f"subject      {facts.subject}")
    print(f"key          {facts.key}")
    print(f"not before   {facts.not_before:%Y-%m-%d %H:%M:%SZ}")
    print(f"not after    {facts.not_after:%Y-%m-%d %H:%M:%SZ}  ({left} days left)")
    print(f"SHA-256      {facts.sha256}\n")
    crt = path.with_suffix(".crt")
    print(_TRUST.format(pem=path, crt=crt, name=crt.name), end="")
    findings = []
    if facts.not_after <= now:
        findings.append(f"{path}: expired; move it and the certificate database away, and make another")
    if not facts.is_ca:
        findings.append(f"{path}: its certificate is not a CA's")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        findings.append(f"{path}: others can read the key; chmod 0400 it, or make another CA if they have")
    for finding in findings:
        print(f"icapd: {finding}", file=sys.stderr)
    return 1 if findings else 0


def _stem(path: Path) -> str:
    """The name make_bump_ca is to use, so that the file is `path`."""
    if path.suffix != ".pem":
        msg = f"squid.ca {path}: a CA made by icapd is called *.pem"
        raise IcapdError(msg)
    return path.stem
