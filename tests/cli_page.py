"""docs/cli.md, made from the commands themselves: `python -m tests.cli_page` writes it anew."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from icapd.cli.main import _root, commands

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
_HEAD = """\
# Commands

All of them with all their options, made from the program by `python -m tests.cli_page`; a test keeps this page equal to it. The same is
printed by `icapd COMMAND --help`, and with the Debian package by `man icapd-COMMAND`; bash, zsh and fish complete it.

Exit status is 0 when all is well, 1 when what was asked for could not be done or faults were found, 2 for options that make no
sense, 130 when interrupted; a command that has others says so. Faults are lines on standard error that begin with `icapd:` or
with `FILE:LINE:`.
"""
_MORE = {
    "ca": "[Certificates](certificates.md)",
    "check": "[What it finds, and how to mend it](check-and-test.md#icapd-check)",
    "doctor": "[Doctor](doctor.md)",
    "events": "[Decisions and their log](logs.md)",
    "explain": "[Check, explain, test](check-and-test.md#icapd-explain)",
    "helper": "[Where tls rules are judged](tls.md#tls-rules-and-where-they-are-judged)",
    "init": "[Tutorial](tutorial.md)",
    "lists": "[Lists](policy.md#lists)",
    "report": "[Reports](reports.md#icapd-report)",
    "scan": "[What is looked into](content.md)",
    "serve": "[Install](install.md#the-service)",
    "test": "[Check, explain, test](check-and-test.md#icapd-test)",
    "why": "[Why one decision came about](reports.md#icapd-why)",
}


def page() -> str:
    """Return the page."""
    found = list(commands(_root, ("icapd",)))[1:]
    rows = [
        f"| [`{' '.join(path)}`](#{'-'.join(path)}) | {_cell(command.get_short_help_str(200))} |"
        for path, command in found
        if len(path) == 2
    ]
    parts = [_HEAD, "\n".join(["| command | |", "|---|---|", *rows, ""])]
    return "\n".join([*parts, *(line for path, command in found for line in _section(path, command))])


def _section(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    words = " ".join(path)
    context = click.Context(command, info_name=words, **_root.context_settings)
    yield f"{'##' if len(path) == 2 else '###'} {words}\n"
    yield f"```console\n{words} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    for part in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")):
        if part.startswith("\b"):
            yield "```console\n" + "\n".join(part.splitlines()[1:]) + "\n```\n"
        else:
            yield _plain(" ".join(part.split())) + "\n"
    if len(path) == 2 and path[1] in _MORE:
        yield f"More: {_MORE[path[1]]}.\n"
    records = [record for each in command.get_params(context) if (record := each.get_help_record(context))]
    rows = [f"| `{_cell(option)}` | {_cell(_plain(says))} |" for option, says in records]
    if len(rows) > 1:  # --help is everywhere
        yield "\n".join(["| option | |", "|---|---|", *rows[:-1], ""])


def _plain(text: str) -> str:
    return re.sub(r"(?<![`\w])([<*_])", r"\\\1", text)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
