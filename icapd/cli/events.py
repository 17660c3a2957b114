"""`icapd events`: what is in the decision log, filtered, followed, and in other formats."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from icapd.cli.options import config_option
from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.events.formats import FORMATS
from icapd.events.privacy import Privacy
from icapd.events.search import COLUMNS, Search, as_csv, as_table, read_moment, read_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_POLL = 0.3  # s between two looks for more
_OWN: dict[str, Callable[[dict[str, Any]], str]] = {"table": as_table, "json": json.dumps, "csv": as_csv}


@click.command()
@config_option
@click.argument("logs", nargs=-1, type=click.Path(path_type=Path), metavar="[LOG]...")
@click.option("--since", metavar="TIME", help="From then on: 2026-11-24T10:00, or 90m, 24h, 7d (ago).")
@click.option("--until", metavar="TIME", help="Before then.")
@click.option("--client", metavar="IP", help="Of this address or network.")
@click.option("--user", metavar="NAME", help="Of this user.")
@click.option("--host", metavar="NAME", help="To this host or one below it.")
@click.option("--rule", metavar="TEXT", help="Decided by a rule whose name holds this.")
@click.option("--action", metavar="ACTION", help="allow, block, redirect, bypass, refuse or error.")
@click.option("--threat", metavar="TEXT", help="In which a threat was found whose name holds this.")
@click.option("--id", "identity", metavar="ID", help="The reference that a block page shows.")
@click.option(
    "--format",
    "form",
    type=click.Choice([*_OWN, *FORMATS]),
    default="table",
    show_default=True,
    help="How to print them.",
)
@click.option("--strip-query", is_flag=True, help="Print URLs without what follows the ?.")
@click.option("--anonymise", is_flag=True, help="Print networks (/24, /48) for clients, and no users.")
@click.option(
    "-f", "--follow", is_flag=True, help="Go on with what comes, through rotations, until interrupted."
)
def events(config_file: Path, logs: tuple[Path, ...], *, form: str, follow: bool, **given: Any) -> int:  # noqa: ANN401  (click's)
    """Print the decisions that were logged, of the log that icapd.yaml names, or of LOG files in their order.

    Lines that are no record (torn by a full disk) are counted at the end. Exit status: 0, 1 if nothing was
    found or a log cannot be read, 2 for options that say nothing.
    """
    try:
        search = _search(given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    files = logs or (_configured(config_file),)
    show: Callable[[dict[str, Any]], str] = _OWN[form] if form in _OWN else FORMATS[form]
    withheld = Privacy(given["strip_query"], given["anonymise"], "drop" if given["anonymise"] else "keep")
    if form == "csv":
        print(",".join(COLUMNS))
    found = bad = 0
    for record in read_records(_lines(files, follow=follow)):
        if record is None:
            bad += 1
        elif search.finds(record):
            found += 1
            print(show(withheld.apply(record)), flush=follow)
    if bad:
        print(f"icapd: {bad} lines are no records", file=sys.stderr)
    return int(not found)


def _search(given: dict[str, Any]) -> Search:
    now = datetime.now(UTC)
    since, until = (given[name] and read_moment(given[name], now) for name in ("since", "until"))
    names = ("client", "user", "host", "rule", "action", "threat")
    asked: dict[str, str | None] = {name: given[name] for name in names}
    return Search(since, until, id=given["identity"], **asked)


def _configured(config_file: Path) -> Path:
    decisions = load_config(config_file).decisions
    if decisions is None:
        raise IcapdError(
            "decisions go to standard output: there is no log to read; set `decisions: FILE`, or name a LOG"
        )
    return decisions


def _lines(files: tuple[Path, ...], *, follow: bool) -> Iterator[bytes]:
    for file in files:
        try:
            if follow and file == files[-1]:
                yield from _followed(file, lambda: time.sleep(_POLL))
            else:
                with file.open("rb") as log:
                    yield from log
        except OSError as error:
            raise IcapdError(f"{file}: cannot be read: {error.strerror}") from None


def _followed(file: Path, pause: Callable[[], None]) -> Iterator[bytes]:
    """Yield whole lines for ever; a file that was moved away is read to its end, then its successor."""
    log = file.open("rb")
    begun = b""
    try:
        while True:
            line = log.readline()
            begun += line
            if begun.endswith(b"\n"):
                yield begun
                begun = b""
                continue
            if line:
                continue
            if _was_moved(file, log.fileno()):
                log.close()
                log, begun = file.open("rb"), b""
            else:
                if os.fstat(log.fileno()).st_size < log.tell():  # copytruncate
                    log.seek(0)
                pause()
    finally:
        log.close()


def _was_moved(file: Path, descriptor: int) -> bool:
    try:
        return not os.path.samestat(file.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
