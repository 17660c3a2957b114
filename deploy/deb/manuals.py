"""Write icapd's manual pages and shell completions: `python manuals.py OUT`, with icapd importable.

All of it comes from the commands themselves: OUT/man1/icapd.1, one page a command, OUT/completion/SHELL.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

import icapd
from icapd.cli.main import _root, commands

if TYPE_CHECKING:
    from collections.abc import Iterator

SHELLS = ("bash", "fish", "zsh")
_FILES = """\
.SH FILES
.TP
/etc/icapd/icapd.yaml
The configuration; all options with their values are printed by \\fBicapd check\\fR.
.TP
/etc/icapd/policy.yaml
The rules.
.TP
/var/log/icapd/decisions.log
What was decided, one line each.
"""


def page(path: tuple[str, ...], command: click.Command) -> str:
    """Return the manual page of one command, in man(7)."""
    context = click.Context(command, info_name=" ".join(path), **_root.context_settings)
    text = inspect.cleandoc(command.help or "")
    summary = command.get_short_help_str(200).rstrip(".")
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        f'.TH {escaped("-".join(path).upper())} 1 "" "icapd {icapd.__version__}" "icapd"',
        ".SH NAME",
        f"{escaped('-'.join(path))} \\- {escaped(summary[:1].lower() + summary[1:])}",
        ".SH SYNOPSIS",
        f"\\fB{escaped(' '.join(path))}\\fR {escaped(usage)}",
        ".SH DESCRIPTION",
        *paragraphs(text),
    ]
    records = [record for each in command.get_params(context) if (record := each.get_help_record(context))]
    if records:
        lines.append(".SH OPTIONS")
    for options, help_text in records:
        lines += [".TP", f"\\fB{escaped(options)}\\fR", escaped(help_text)]
    if isinstance(command, click.Group):
        lines += list(subcommands(path, command, context))
    return "\n".join(lines) + "\n" + (_FILES if len(path) == 1 else "")


def subcommands(path: tuple[str, ...], group: click.Group, context: click.Context) -> Iterator[str]:
    """Yield the list of a group's commands, and where each is described."""
    yield ".SH COMMANDS"
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if found is not None and not found.hidden:
            yield from (
                ".TP",
                f"\\fB{escaped('-'.join((*path, name)))}\\fR(1)",
                escaped(found.get_short_help_str(200)),
            )


def paragraphs(text: str) -> Iterator[str]:
    """Yield click's help text as paragraphs; one that begins with a backspace keeps its lines."""
    for part in re.split(r"\n\s*\n", text):
        if part.startswith("\b"):
            yield from (".PP", ".nf", *map(escaped, part.splitlines()[1:]), ".fi")
        else:
            yield from (".PP", escaped(" ".join(part.split())))


def escaped(text: str) -> str:
    """Return text as roff prints it; the dash as one that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def main() -> None:
    """Write everything below the folder that the first argument names."""
    out = Path(sys.argv[1])
    (out / "man1").mkdir(parents=True, exist_ok=True)
    (out / "completion").mkdir(parents=True, exist_ok=True)
    for path, command in commands(_root, ("icapd",)):
        (out / "man1" / f"{'-'.join(path)}.1").write_text(page(path, command), encoding="utf-8")
    for shell in SHELLS:
        found = get_completion_class(shell)
        if found is None:
            raise SystemExit(f"click knows no completion for {shell}")
        source = found(_root, {}, "icapd", "_ICAPD_COMPLETE").source()
        (out / "completion" / shell).write_text(source, encoding="utf-8")


if __name__ == "__main__":
    main()
