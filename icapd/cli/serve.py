"""`icapd serve`: run the ICAP server in the foreground, as systemd wants it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from icapd.config import load_config


@click.command()
@click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    default=Path("/etc/icapd/icapd.yaml"),
    show_default=True,
    help="The configuration file.",
)
def serve(config_file: Path) -> None:
    """Serve REQMOD and RESPMOD until SIGTERM."""
    config = load_config(config_file)
    from icapd.server import run  # noqa: PLC0415  # installing the reactor costs 0.2 s the other commands need not pay

    sys.exit(run(config))
