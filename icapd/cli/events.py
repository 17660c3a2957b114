"""`icapd events`: what is in the decision log, filtered, followed, and in other formats."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from icapd.cli.options import config_option
from icapd.cli.recorded import Reading, numbers_of_logs, numbers_of_store
from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.events.formats import FORMATS
from icapd.events.privacy import Privacy
from icapd.events.search import COLUMNS, Search, as_csv, as_table, read_moment
from icapd.events.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from icapd.config import Config
    from icapd.events.store import Store

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
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Of those found, the last N only.")
@click.option(
    "--gaps", is_flag=True, help="Tell instead whether all numbers are there, and why some are not."
)
def events(
    config_file: Path,
    logs: tuple[Path, ...],
    *,
    form: str,
    follow: bool,
    gaps: bool,
    **given: Any,  # noqa: ANN401  (click's)
) -> int:
    """Print the decisions that were recorded: of the event store, or of LOG files in their order.

    What is not in the store yet, or all if there is none, is read from the decision log that icapd.yaml
    names. Lines that are no record (torn by a full disk) are counted at the end. Exit status: 0, 1 if nothing
    was found, a file cannot be read, or numbers are missing that nothing explains (--gaps), 2 for options
    that say nothing.
    """
    try:
        search = _search(given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    config = None if logs else _configured(config_file)
    if gaps:
        return _gaps(config, logs)
    show: Callable[[dict[str, Any]], str] = _OWN[form] if form in _OWN else FORMATS[form]
    withheld = Privacy(given["strip_query"], given["anonymise"], "drop" if given["anonymise"] else "keep")
    reading = Reading(search, given["limit"])
    if form == "csv":
        print(",".join(COLUMNS))
    found = 0
    for record in _records(reading, config, logs, follow=follow):
        found += 1
        print(show(withheld.apply(record)), flush=follow)
    if reading.torn:
        print(f"icapd: {reading.torn} lines are no records", file=sys.stderr)
    return int(not found)


def _records(
    reading: Reading, config: Config | None, logs: tuple[Path, ...], *, follow: bool
) -> Iterator[dict[str, Any]]:
    if config is not None and config.decisions is not None:
        if store := _store(config):
            with closing(store):
                yield from reading.of_store(store, config.decisions, follow=follow)
            return
        logs = (config.decisions,)
    yield from reading.of_logs(logs, follow=follow)


def _gaps(config: Config | None, logs: tuple[Path, ...]) -> int:
    """Tell of missing numbers; 1 if some are unexplained."""
    if config is not None and config.decisions is not None:
        if store := _store(config):
            with closing(store):
                found = numbers_of_store(store, config.decisions)
        else:
            found = numbers_of_logs((config.decisions,))
    else:
        found = numbers_of_logs(logs)
    print("\n".join(found.report()))
    return int(found.unexplained() > 0)


def _store(config: Config) -> Store | None:
    """Open the configured store, if there is one."""
    file = config.events.store_file(config.decisions)
    return open_store(file) if file is not None and file.exists() else None


def _search(given: dict[str, Any]) -> Search:
    now = datetime.now(UTC)
    since, until = (given[name] and read_moment(given[name], now) for name in ("since", "until"))
    names = ("client", "user", "host", "rule", "action", "threat")
    asked: dict[str, str | None] = {name: given[name] for name in names}
    return Search(since, until, id=given["identity"], **asked)


def _configured(config_file: Path) -> Config:
    config = load_config(config_file)
    if config.decisions is None:
        raise IcapdError(
            "decisions go to standard output: there is no log to read; set `decisions: FILE`, or name a LOG"
        )
    return config
