"""`icapd report`: a period of the event store in figures, for the terminal, as JSON or as a page."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from icapd.cli.options import config_option
from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.events.report import Period, make_report
from icapd.events.search import read_moment
from icapd.events.store import errors_of, open_store
from icapd.policy import load_policy
from icapd.reports.page import as_page
from icapd.reports.setting import Setting, idle_rules
from icapd.reports.text import as_text
from icapd.reports.words import moment

if TYPE_CHECKING:
    from icapd.config import Config
    from icapd.events.report import Report

_TWICE = (
    "A request has a second decision where Squid asks about its response too, and over HTTPS another, on the "
    "CONNECT that opened its tunnel."
)
_HASHED = "Users are shown by the keyed hash of their names, as they were recorded (events.users: hash)."
_DROPPED = "Names of users are not recorded (events.users: drop)."
_NETWORKS = "Clients are shown by their networks (/24, /48)."


@click.command()
@config_option
@click.option(
    "--since",
    metavar="TIME",
    default="7d",
    show_default=True,
    help="From then on: 2026-11-24T10:00, or 90m, 24h, 7d (ago).",
)
@click.option("--until", metavar="TIME", help="Before then; unless given, now.")
@click.option(
    "--top", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many of each list."
)
@click.option(
    "--html", "page", type=click.Path(path_type=Path), metavar="FILE", help="Write a page, - for output."
)
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object.")
@click.option("--anonymise", is_flag=True, help="Show networks (/24, /48) for clients, and no users.")
def report(config_file: Path, since: str, until: str | None, *, page: Path | None, **given: Any) -> int:  # noqa: ANN401  (click's)
    """Tell what was asked, blocked and found in a period: totals, over time, users, hosts, rules, threats.

    Figures come from the event store. The page is one file without scripts that loads nothing: it can be
    sent, printed and kept. Exit status: 0, 1 if nothing was recorded in the period or there is no store.
    """
    now = time.time()  # noqa: TID251  # a period without an end ends now
    period = _period(since, until, now)
    config = load_config(config_file)
    made = _read(config, period, given["top"], anonymise=given["anonymise"])
    setting = _setting(config, made, now, anonymise=given["anonymise"])
    if page is not None:
        _write(page, as_page(made, setting))
    if given["as_object"]:
        print(json.dumps(_object(made, setting)))
    elif page is None:
        print(as_text(made, setting, shutil.get_terminal_size((100, 24)).columns))
    if made.is_empty:
        print(_why_empty(made), file=sys.stderr)
    return int(made.is_empty)


def _period(since: str, until: str | None, now: float) -> Period:
    at = datetime.fromtimestamp(now, UTC)
    try:
        begin = read_moment(since, at).timestamp()
        end = now if until is None else read_moment(until, at).timestamp()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if begin >= end:
        raise click.UsageError("the period ends before it begins: --since is earlier than --until")
    offset = datetime.fromtimestamp(end, UTC).astimezone().utcoffset()
    return Period(begin, end, 0 if offset is None else int(offset.total_seconds()))


def _read(config: Config, period: Period, top: int, *, anonymise: bool) -> Report:
    file = config.events.store_file(config.decisions)
    if file is None:
        raise IcapdError(
            "there is no event store: "
            + (
                "`events.store` is off in icapd.yaml"
                if config.events.store == "off"
                else "decisions go to standard output; set `decisions: FILE` in icapd.yaml"
            )
        )
    if not file.exists():
        raise IcapdError(f"{file}: there is no event store yet; a running `icapd serve` makes it")
    store = open_store(file)
    try:
        with errors_of(file):
            return make_report(store.connection, period, top, anonymise=anonymise)
    finally:
        store.close()


def _setting(config: Config, made: Report, now: float, *, anonymise: bool) -> Setting:
    notes = [_TWICE]
    idle = None
    try:
        idle = idle_rules(load_policy(config.policy), made)
    except IcapdError as error:
        lines = str(error).splitlines()
        notes.append(f"Rules that decided nothing are not told: the present policy has faults. {lines[0]}")
    users = clients = ""
    if anonymise:
        users = "not shown"
    elif config.events.users == "hash":
        users = "by hash"
        notes.append(_HASHED)
    elif config.events.users == "drop":
        users = "not recorded"
        notes.append(_DROPPED)
    if anonymise or config.events.anonymise:
        clients = "by network"
        notes.append(_NETWORKS)
    return Setting(os.uname().nodename, now, idle, tuple(notes), users, clients)


def _object(made: Report, setting: Setting) -> dict[str, Any]:
    """Return the report as JSON has it: times in seconds since the epoch, `idle` null if not known."""
    out = asdict(made)
    out["period"] |= {"step": made.period.step}
    out["gaps"] |= {"unexplained": made.gaps.unexplained}
    out["idle"] = None if setting.idle is None else [asdict(rule) for rule in setting.idle]
    return {"place": setting.place, "made": setting.made, **out, "notes": list(setting.notes)}


def _why_empty(made: Report) -> str:
    if made.first is None:
        return "icapd: the event store is empty: is `icapd serve` running, and does Squid ask it?"
    first = moment(made.first, made.period.shift)
    return f"icapd: nothing was recorded in this period; the store's oldest record is of {first}"


def _write(page: Path, text: str) -> None:
    """Write the page, for its owner alone: it tells who opened what."""
    if str(page) == "-":
        print(text, end="")
        return
    descriptor = os.open(page, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  (of a descriptor)
        file.write(text)
    print(f"icapd: {page} written", file=sys.stderr)
