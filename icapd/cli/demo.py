"""`icapd demo`: a whole proxy on this machine, real requests through it, and what became of each."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from icapd.demo.plan import BUMP, ORIGIN, PLAIN
from icapd.errors import IcapdError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from icapd.demo.lab import Lab

_WATCH = 0.5  # s between two looks at the programs while the demo stays up
_HOW_TO = """
Squid and icapd stay up. Try it yourself, in another terminal:

  curl --proxy {bump} --cacert {bump_ca} https://blocked.demo.test:{https}/
  curl --proxy {bump} --cacert {bump_ca} https://allowed.demo.test:{https}/
  curl --proxy {bump} http://blocked.demo.test:{http}/
  curl --proxy {plain} --cacert {origin_ca} https://blocked.demo.test:{https}/

In a browser, with a profile of its own which trusts the demo's CA (certutil is in libnss3-tools):

  mkdir -p {browser}/.pki/nssdb
  certutil -N -d sql:{browser}/.pki/nssdb --empty-password
  certutil -A -d sql:{browser}/.pki/nssdb -t C,, -n icapd-demo -i {bump_ca}
  HOME={browser} chromium --user-data-dir={browser}/profile --proxy-server={bump} --disable-quic{root} \\
    https://blocked.demo.test:{https}/

Policy:    {directory}/policy.yaml
Decisions: {directory}/logs/decisions.jsonl
Ctrl-C ends it{removed}."""


@click.command()
@click.option(
    "--once", is_flag=True, help="End after the requests; exit status 0 if all came out as expected."
)
@click.option(
    "--keep-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Put everything in DIR, which must be new or empty, and keep it: configuration, CAs, logs.",
)
def demo(*, once: bool, keep_dir: Path | None) -> int:
    """Start Squid with ssl-bump, icapd and web servers on free ports of 127.0.0.1, and try them.

    Needs squid (with ssl-bump) and curl. Touches no other Squid and no other file.
    """
    # Imported here, as other commands need none of it.
    from icapd.demo.lab import Lab, squid_program  # noqa: PLC0415
    from icapd.demo.scenario import PLAN  # noqa: PLC0415

    squid = squid_program()
    with _signals_interrupt(), _directory(keep_dir) as directory:
        click.echo(f"Starting two origins, icapd and Squid in {directory.path}\n")
        with Lab(directory.path, PLAN, squid=squid) as lab:
            wrong = _show(lab) + _look(lab, kept=directory.keep)
            if not wrong:
                click.echo("\nAll as expected.")
            else:
                directory.keep = True
                click.echo(
                    f"\nNot as expected: {'; '.join(dict.fromkeys(wrong))}. The logs are in {lab.site.logs}"
                )
            if not once:
                click.echo(_how_to(lab, kept=directory.keep))
                with contextlib.suppress(KeyboardInterrupt):
                    while True:
                        lab.require_running()
                        time.sleep(_WATCH)
    return 1 if wrong else 0


def _show(lab: Lab) -> list[str]:
    """Ask each request of the scenario, print its line, return the titles of those that came out wrong."""
    from icapd.demo import table  # noqa: PLC0415
    from icapd.demo.complaints import complaints  # noqa: PLC0415
    from icapd.demo.run import run_case  # noqa: PLC0415
    from icapd.demo.scenario import CASES  # noqa: PLC0415

    wrong = []
    click.echo(table.header())
    for case in CASES:
        result = run_case(case, lab)
        click.echo(table.row(result))
        if result.differences:
            wrong.append(case.title)
    for line in complaints(lab.site.logs / "cache.log"):
        click.echo(f"NO  Squid complains: {line}")
        wrong.append("Squid's cache.log")
    return wrong


def _look(lab: Lab, *, kept: bool) -> list[str]:
    """Open a denied CONNECT in a browser, if there is one; say where the picture is and what was wrong."""
    from icapd.demo.browser import browser_programs  # noqa: PLC0415
    from icapd.demo.picture import take_picture  # noqa: PLC0415

    if browser_programs() is None:
        click.echo("--  in a browser: chromium or certutil (libnss3-tools) is not installed")
        return []
    if kept:
        file = lab.site.directory / "page.png"
    else:  # outlives the directory: it is to be looked at
        opened, name = tempfile.mkstemp(prefix="icapd-demo-page-", suffix=".png")
        os.close(opened)
        file = Path(name)
    try:
        wrong = take_picture(lab, file)
    except IcapdError as error:
        file.unlink(missing_ok=True)
        click.echo(f"--  in a browser: {error}")
        return []
    click.echo(f"{'NO' if wrong else 'ok'}  CONNECT denied, in Chromium: {file}")
    for line in wrong:
        click.echo(f"    - {line}")
    return ["in Chromium"] if wrong else []


def _how_to(lab: Lab, *, kept: bool) -> str:
    site = lab.site
    return _HOW_TO.format(
        bump=site.proxy(BUMP),
        plain=site.proxy(PLAIN),
        bump_ca=site.authority(BUMP),
        origin_ca=site.authority(ORIGIN),
        http=site.ports["http"],
        https=site.ports["https"],
        directory=site.directory,
        browser=site.directory / "browser",
        root=" --no-sandbox" if os.geteuid() == 0 else "",  # without it Chromium refuses to run as root
        removed="" if kept else " and removes all of it",
    )


@dataclass(slots=True)
class _Directory:
    """Where the demo lives; removed at the end unless `keep`, which a failure sets."""

    path: Path
    keep: bool


@contextlib.contextmanager
def _directory(wanted: Path | None) -> Iterator[_Directory]:
    """Make the demo's directory. Raises IcapdError if `wanted` has something in it."""
    if wanted is None:
        directory = _Directory(Path(tempfile.mkdtemp(prefix="icapd-demo-")), keep=False)
    elif wanted.exists() and any(wanted.iterdir()):
        msg = f"{wanted}: not empty; --keep-dir needs a new or an empty directory"
        raise IcapdError(msg)
    else:
        wanted.mkdir(parents=True, exist_ok=True)
        directory = _Directory(wanted.resolve(), keep=True)
    try:
        yield directory
    except IcapdError:
        directory.keep = True  # the message names a log in it
        raise
    finally:
        if not directory.keep:
            shutil.rmtree(directory.path, ignore_errors=True)


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let the first SIGINT, SIGTERM or SIGHUP raise KeyboardInterrupt; later ones wait until all is ended."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
