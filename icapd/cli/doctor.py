"""`icapd doctor`: what ails a running Squid with icapd, told from what it did."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from icapd.cli.options import config_option
from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.events.formats import plain
from icapd.policy import load_policy
from icapd.squid.accesslog import read_entry
from icapd.squid.pins import Detected, Pinned, Thresholds, detect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.doctor import Result
    from icapd.policy import Policy
    from icapd.squid.accesslog import Entry

_UNTIL = re.compile(r"\(until (\d{4}-\d\d-\d\d)\)$")
_SHOWN_CLIENTS = 5
_STATUS = {"ok": 0, "warning": 1, "fault": 2}
_SBIN = "/usr/sbin:/usr/local/sbin:/usr/local/squid/sbin"


@click.group(invoke_without_command=True)
@config_option
@click.option(
    "--squid-conf",
    type=click.Path(path_type=Path),
    default=Path("/etc/squid/squid.conf"),
    show_default=True,
    metavar="FILE",
    help="Squid's whole configuration.",
)
@click.option(
    "--credentials",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="One line NAME:PASSWORD, where Squid asks for them.",
)
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object instead.")
@click.pass_context
def doctor(
    ctx: click.Context, config_file: Path, squid_conf: Path, credentials: Path | None, *, as_object: bool
) -> int:
    """Look at the running Squid and icapd together: a line for each thing, and how to mend it.

    Changes nothing. Requests go through Squid as a client's would; icapd decides them, and no others, by
    rules of the doctor's own: it proves itself at the `control` socket, so run it as root or as icapd's user.
    A web server of its own listens meanwhile, on this machine's address and on loopback, at free ports.

    Exit status: 0 all is well, 1 there are warnings, 2 there are faults.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    from icapd.doctor import Where, examine  # noqa: PLC0415  (`pins` does without)

    squid = shutil.which("squid", path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")
    where = Where(load_config(config_file), squid, squid_conf, _credentials(credentials))
    results = []
    for result in examine(where):
        results.append(result)
        if not as_object:
            _print(result)
    status = max(_STATUS[result.level] for result in results)
    if as_object:
        print(json.dumps({"status": status, "results": [result.as_json() for result in results]}))
    return status


def _print(result: Result) -> None:
    print(plain(f"{result.level:8} {result.name:21} {result.text}"), flush=True)
    if result.mend:
        print(plain(f"{'':30} mend: {result.mend}"), flush=True)


def _credentials(file: Path | None) -> str:
    if file is None:
        return ""
    lines = file.read_text(encoding="utf-8").splitlines()
    if not lines or ":" not in lines[0]:
        raise IcapdError(f"{file}: not one line NAME:PASSWORD")
    return lines[0]


@doctor.command()
@config_option
@click.option(
    "--log",
    "logs",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="Squid's access log in icapd's format, also .gz; repeatable.  [default: squid.access_log]",
)
@click.option("--clients", type=click.IntRange(min=1), default=2, show_default=True, help="So many refuse.")
@click.option(
    "--times", type=click.IntRange(min=1), default=2, show_default=True, help="So often, each of them."
)
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="Propose it for.")
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object instead.")
def pins(
    config_file: Path, logs: tuple[Path, ...], *, clients: int, times: int, days: int, as_object: bool
) -> int:
    """Find sites whose programs refuse to be decrypted, and propose `tls:` rules that splice them.

    Reads Squid's access log; changes nothing: the rules are printed, as YAML, with their evidence and the
    date on which to look again. Sites that other clients accept, and clients that accept no site (they do
    not trust the CA), are told on standard error, and so are proposed rules of the policy whose date is over.

    Exit status: 0 nothing to do, 1 a rule is proposed or a date is over.
    """
    config = load_config(config_file)
    logs = logs or ((config.squid.access_log,) if config.squid.access_log is not None else ())
    if not logs:
        msg = "no log: name one with --log, or set squid.access_log and write Squid's part again"
        raise IcapdError(msg)
    now = datetime.now(UTC)
    read = _Read(logs)
    found = detect(read.entries(), Thresholds(clients, times))
    if read.lines and not found.entries:
        msg = f"{logs[0]}: no line is of icapd's format (access_log … logformat=icapd)"
        raise IcapdError(msg)
    expired = list(_expired(load_policy(config.policy), now))
    if as_object:
        print(json.dumps(_as_object(found, expired, now + timedelta(days=days)), indent=2))
    else:
        print(_proposal(found, now, now + timedelta(days=days)), end="")
        for line in (*_remarks(found), *expired):
            print(f"icapd: {line}", file=sys.stderr)
    return int(bool(found.proposed or expired))


class _Read:
    """The entries of some logs, and how many lines there were."""

    def __init__(self, logs: tuple[Path, ...]) -> None:
        self._logs = logs
        self.lines = 0

    def entries(self) -> Iterator[Entry]:
        """Yield each entry. Raises IcapdError if a log cannot be read."""
        for log in self._logs:
            opener = gzip.open if log.suffix == ".gz" else open
            try:
                with opener(log, "rt", encoding="utf-8", errors="replace") as file:
                    for line in file:
                        self.lines += 1
                        entry = read_entry(line)
                        if entry is not None:
                            yield entry
            except (OSError, EOFError) as error:
                msg = f"{log}: {getattr(error, 'strerror', None) or error}"
                raise IcapdError(msg) from None


def _proposal(found: Detected, now: datetime, until: datetime) -> str:
    """Return the rules as YAML, with the evidence as comments."""
    if not found.proposed:
        return f"# {found.entries} entries read: no site is refused by its clients.\n"
    lines = [
        f"# Proposed by icapd doctor pins on {now:%Y-%m-%d}; nothing was changed. What is spliced is neither",
        "# read nor scanned: take over what you know, above your other tls rules, and look again then.",
        "tls:",
    ]
    for one in found.proposed:
        who = f"{len(one.clients)} clients ({_some(one.clients)})"
        why = ", ".join(f"{why} {count}" for why, count in one.reasons)
        lines += [
            f"  # refused {one.times} times by {who}, accepted by none;",
            f"  # {why}; {_day(one.first)} to {_day(one.last)}",
            f'  - name: "pinned: {one.host} (until {until:%Y-%m-%d})"',
            f'    when: {{host: ["={one.host}"]}}',
            "    action: splice",
        ]
    return "\n".join(lines) + "\n"


def _remarks(found: Detected) -> Iterator[str]:
    for one in found.doubtful:
        yield (
            f"{one.host}: refused by {_some(one.clients)}, accepted by {_some(one.accepts)}: not proposed; "
            "is it a program on those devices that pins, or another trust store?"
        )
    for client, count in found.strangers:
        yield f"{client}: refused all sites it asked for ({count} times): it does not trust the CA; left out"


def _expired(policy: Policy, now: datetime) -> Iterator[str]:
    for rule in policy.tls:
        match = _UNTIL.search(rule.name)
        if match and match[1] < f"{now:%Y-%m-%d}":
            yield f"{rule.source}: rule {rule.name!r} is over: take it out; is its site still refused?"


def _as_object(found: Detected, expired: list[str], until: datetime) -> dict[str, object]:
    return {
        "entries": found.entries,
        "until": f"{until:%Y-%m-%d}",
        "proposed": [_pinned(one) for one in found.proposed],
        "doubtful": [_pinned(one) for one in found.doubtful],
        "strangers": dict(found.strangers),
        "expired": expired,
    }


def _pinned(one: Pinned) -> dict[str, object]:
    return {
        "host": one.host,
        "times": one.times,
        "clients": list(one.clients),
        "accepted_by": list(one.accepts),
        "reasons": dict(one.reasons),
        "first": datetime.fromtimestamp(one.first, UTC).isoformat(timespec="seconds"),
        "last": datetime.fromtimestamp(one.last, UTC).isoformat(timespec="seconds"),
    }


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN_CLIENTS
    return ", ".join(names[:_SHOWN_CLIENTS]) + (f" and {more} more" if more > 0 else "")


def _day(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}"
