"""`icapd serve`: run the ICAP server in the foreground, as systemd wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from icapd.cli.options import config_option
from icapd.config import load_config

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@config_option
def serve(config_file: Path) -> int:
    """Serve REQMOD and RESPMOD until SIGTERM."""
    config = load_config(config_file)
    from icapd.server import run  # noqa: PLC0415  # installing the reactor costs 0.2 s the other commands need not pay

    return run(config)
