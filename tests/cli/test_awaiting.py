"""The reactor lasts as long as what is awaited, and gives what it gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """\
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it runs behind itself ignore it
from icapd.cli.awaiting import await_on_reactor
from twisted.internet import reactor
from twisted.internet.task import deferLater

async def wait():
    await deferLater(reactor, 0.01, lambda: None)
    %s

try:
    print("gave", await_on_reactor(wait))
except BaseException as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("return 7", "gave 7"),
        ("raise ValueError('x')", "ValueError x"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGINT); await deferLater(reactor, 5, lambda: None)",
         "IcapdError interrupted"),
    ],
)  # fmt: skip
def test_what_comes_of_it(does: str, says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % does],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        check=False,
    )
    assert done.stdout == f"{says}\n", done.stderr
