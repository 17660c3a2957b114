"""`icapd squid-conf`: write Squid's side of the configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from icapd.cli.options import config_option
from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.pki import check_bump_ca
from icapd.squid import check_fragment, is_foreign, write_fragments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.config import Config

_BLOCK_PAGE = "ERR_ICAPD_BLOCK"


@click.command("squid-conf")
@config_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Where to write icapd.conf and errors/, e.g. /etc/squid/icapd.",
)
@click.option("--check", "checks", is_flag=True, help="Let Squid parse it first; write only what it accepts.")
@click.option("--force", is_flag=True, help="Write over an icapd.conf that icapd did not write.")
@click.option(
    "--squid", default="/usr/sbin/squid", show_default=True, metavar="PROGRAM", help="Squid, for --check."
)
def squid_conf(config_file: Path, out: Path, *, checks: bool, force: bool, squid: str) -> int:
    """Write the fragment of squid.conf that makes Squid ask icapd, and the error pages it needs.

    Exit status: 0 written, 1 nothing written (each reason is one line on standard error).
    """
    config = load_config(config_file)
    if not force and is_foreign(out):
        msg = f"{out / 'icapd.conf'}: not written by icapd; --force writes over it"
        raise IcapdError(msg)
    missing = list(_missing(config))
    for line in missing:
        print(f"icapd: {line}", file=sys.stderr)
    if checks:
        complaints = [] if missing else check_fragment(config, squid)
        for line in complaints:
            print(f"icapd: Squid says: {line}", file=sys.stderr)
        if missing or complaints:
            return 1
    written = write_fragments(config, out)
    for path in written:
        print(path)
    errors = config.squid.error_directory
    if errors is not None and not (errors / _BLOCK_PAGE).is_file():
        print(f"# Squid will look for the error pages in {errors}: copy {written[1].parent} there")
    print(f"# In squid.conf, before its own http_access and http_port lines:\ninclude {written[0]}")
    return 0


def _missing(config: Config) -> Iterator[str]:
    """What Squid will need besides the fragment, and reports in riddles or not at all."""
    settings = config.squid
    for name in ("origin_ca", "icap_ca"):
        path = getattr(settings, name)
        if path is not None and not os.access(path, os.R_OK):
            yield f"{path}: cannot be read ({name})"
    if not any(port.bump for port in settings.ports):
        return
    try:
        if settings.ca.exists():
            check_bump_ca(settings.ca)
        else:
            yield f"{settings.ca}: missing (the bump CA; `icapd ca create` makes one)"
    except OSError as error:
        yield f"{settings.ca}: {error.strerror}; run this as root"
    except IcapdError as error:
        yield str(error)
    if not os.access(settings.certgen, os.X_OK):
        yield f"{settings.certgen}: no program that can be run (certgen; part of squid-openssl)"
    try:
        if not settings.ssl_db.is_dir():
            yield f"{settings.ssl_db}: missing (certificate database; `icapd ca create` makes it)"
    except OSError as error:
        yield f"{settings.ssl_db}: {error.strerror}"
