"""`icapd helper`: the program that Squid asks about intercepted TLS; people do not run it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from icapd.cli.options import config_option
from icapd.config import load_config
from icapd.squid import Answers

if TYPE_CHECKING:
    from pathlib import Path


@click.command("helper")
@config_option
def external_acl(config_file: Path) -> int:
    """Answer Squid's external ACL from the policy: a line of standard input, a line of standard output.

    `icapd squid-conf` writes the lines of squid.conf that start it, where a port intercepts TLS. It ends
    when its standard input does.
    """
    answers = Answers(load_config(config_file).policy)
    for line in sys.stdin:
        now = time.time()  # noqa: TID251  # a rule may ask the time
        sys.stdout.write(answers.reply(line.rstrip("\r\n"), now) + "\n")
        sys.stdout.flush()
    return 0
