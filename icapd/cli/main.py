"""The `icapd` command: finds the subcommand, and turns every failure into one line and an exit status."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

import click

import icapd
from icapd.errors import IcapdError

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = {
    "ca": "icapd.cli.ca:ca",
    "check": "icapd.cli.check:check",
    "demo": "icapd.cli.demo:demo",
    "helper": "icapd.cli.external_acl:external_acl",
    "doctor": "icapd.cli.doctor:doctor",
    "events": "icapd.cli.events:events",
    "explain": "icapd.cli.explain:explain",
    "init": "icapd.cli.init:init",
    "lists": "icapd.cli.lists:lists",
    "ping": "icapd.cli.ping:ping",
    "reload": "icapd.cli.reload:reload",
    "report": "icapd.cli.report:report",
    "scan": "icapd.cli.scan:scan",
    "serve": "icapd.cli.serve:serve",
    "squid-conf": "icapd.cli.squid_conf:squid_conf",
    "test": "icapd.cli.test:test",
    "why": "icapd.cli.why:why",
}
_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


class _Commands(click.Group):
    """A group that imports a command's module only when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        return command if isinstance(command, click.Command) else None


@click.command(
    cls=_Commands,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(icapd.__version__, prog_name="icapd", message="%(prog)s %(version)s")
def _root() -> None:
    """Filter what passes Squid: a web filter that answers over ICAP."""


def commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield a command and all below it, each with its words: what its pages are made of."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path[-1])
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from commands(found, (*path, name))


def main(arguments: list[str] | None = None) -> int:
    """Run `icapd ARGUMENTS` (default: those of the process) and return the exit status."""
    try:
        status = _root.main(args=arguments, prog_name="icapd", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away (`icapd check | head`): nothing more to say, also not at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, click.Abort):
        return _INTERRUPTED
    except (click.ClickException, IcapdError, OSError) as error:
        text, status = _explained(error)
        for line in text.splitlines():
            print(f"icapd: {line}", file=sys.stderr)
    return status if isinstance(status, int) else 0


def _explained(error: click.ClickException | IcapdError | OSError) -> tuple[str, int]:
    """Return what to tell the user, and the exit status."""
    match error:
        case IcapdError():
            return str(error), error.exit_status
        case click.exceptions.NoArgsIsHelpError(ctx=click.Context() as context):
            return f"Missing command (see `{context.command_path} --help`)", error.exit_code
        case click.UsageError(ctx=click.Context() as context):
            return (
                f"{error.format_message().rstrip('.')} (see `{context.command_path} --help`)",
                error.exit_code,
            )
        case click.ClickException():
            return error.format_message().rstrip("."), error.exit_code
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}", 1
