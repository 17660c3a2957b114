"""`icapd check`: everything that would keep icapd or Squid from starting well, at once."""

from __future__ import annotations

import os
import shutil
import ssl
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from icapd.cli.options import config_option
from icapd.config import Config, load_config, render_config
from icapd.errors import ConfigError, IcapdError
from icapd.pages import Pages
from icapd.policy import load_policy
from icapd.source import read_document
from icapd.squid import parse_check, write_fragments

if TYPE_CHECKING:
    from collections.abc import Iterator

# Around the fragment, so that `squid -k parse` reads a whole configuration and touches no log or pid file.
_SQUID_CONF = """\
pid_filename none
access_log none
cache_log /dev/null
cache_store_log none
include {fragment}
http_access deny all
"""


@click.command()
@config_option
def check(config_file: Path) -> int:
    """Check the configuration, the policy with its lists, the block page, and what Squid says of its part.

    Prints every option as it is in force (YAML) on standard output, and each finding as FILE:LINE: MESSAGE on
    standard error. Exit status: 0 good, 1 findings.
    """
    try:
        config = load_config(config_file)
    except IcapdError as error:
        return _report(str(error).splitlines())
    print(render_config(config), end="", flush=True)
    return _report([*_policy(config), *_page(config), *_tls(config), *_squid(config)])


def _report(findings: list[str]) -> int:
    for finding in findings:
        print(finding, file=sys.stderr)
    return 1 if findings else 0


def _policy(config: Config) -> Iterator[str]:
    try:
        load_policy(config.policy)
    except IcapdError as error:
        yield from str(error).splitlines()


def _page(config: Config) -> Iterator[str]:
    try:
        Pages.load(config.page)
    except IcapdError as error:
        yield from str(error).splitlines()


def _tls(config: Config) -> Iterator[str]:
    """Try the certificate, its key and the clients' CA as the listener will."""
    if config.tls is None:
        return
    for name in ("certificate", "key", "client_ca"):
        path = getattr(config.tls, name)
        if path is not None and (reason := _unreadable(path)):
            yield _at(config, ("tls", name), reason)
            return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(config.tls.certificate, config.tls.key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        yield _at(config, ("tls",), f"certificate and key do not serve: {_reason(error)}")
    if config.tls.client_ca is not None:
        try:
            context.load_verify_locations(config.tls.client_ca)
        except ssl.SSLError as error:
            yield _at(config, ("tls", "client_ca"), f"{config.tls.client_ca}: {_reason(error)}")


def _squid(config: Config) -> Iterator[str]:
    """Let the installed Squid read what `icapd squid-conf` would write now."""
    squid = shutil.which("squid", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if squid is None:
        return
    if missing := list(_missing(config)):
        yield from missing
        return
    with tempfile.TemporaryDirectory(prefix="icapd-check-") as directory:
        conf = Path(directory) / "squid.conf"
        conf.write_text(_SQUID_CONF.format(fragment=Path(directory) / "icapd.conf"), encoding="utf-8")
        try:
            write_fragments(config, Path(directory))
            for complaint in parse_check(conf, squid):
                yield f"{config.file}: Squid says of its fragment: {complaint}"
        except IcapdError as error:
            yield from str(error).splitlines()


def _missing(config: Config) -> Iterator[str]:
    """Find files that Squid needs but does not ask for before it runs, or asks for in riddles."""
    settings = config.squid
    if settings.origin_ca is not None and (reason := _unreadable(settings.origin_ca)):
        yield _at(config, ("squid", "origin_ca"), reason)
    if not any(port.bump for port in settings.ports):
        return
    if reason := _unreadable(settings.ca):
        yield _at(config, ("squid", "ca"), f"{reason}; `icapd ca create` makes it")
    if not os.access(settings.certgen, os.X_OK):
        yield _at(config, ("squid", "certgen"), f"{settings.certgen} is not a program that can be run")


def _at(config: Config, place: tuple[str, ...], message: str) -> str:
    """Return a finding about the option at `place`, with its line."""
    line = read_document(config.file).where(place)
    return str(ConfigError(config.file, line, f"{'.'.join(place)}: {message}"))


def _unreadable(path: Path) -> str | None:
    """Say why `path` cannot be read, or None if it can."""
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"


def _reason(error: ssl.SSLError | ValueError) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error).replace("_", " ").lower()
