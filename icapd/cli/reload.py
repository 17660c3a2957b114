"""`icapd reload`: have a running icapd adopt its policy anew, and say how that went."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import click

from icapd.cli.options import config_option
from icapd.config import load_config
from icapd.errors import IcapdError

if TYPE_CHECKING:
    from pathlib import Path

_MAX_ANSWER = 1 << 20  # bytes; thousands of problems
_TIMEOUT = 300.0  # s; a list of millions is built meanwhile


@click.command()
@config_option
def reload(config_file: Path) -> int:
    """Make the running icapd load its policy, lists and page again.

    A policy with faults is refused as a whole, and the one that serves stays; the faults are printed,
    and the exit status is 1.
    """
    control = load_config(config_file).control
    if control is None:
        raise IcapdError(f"{config_file} names no `control` socket: add one, or send SIGHUP to icapd")
    answer = _ask(control)
    for note in answer.get("notes", ()):
        click.echo(f"note: {note}")
    if not answer.get("ok"):
        raise IcapdError("\n".join(["reload refused, the old policy stays:", *answer.get("problems", ())]))
    what = "changed" if answer["changed"] else "unchanged"
    click.echo(f"policy {answer['digest']} serves ({what})")
    return 0


def _ask(control: Path) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT)
        try:
            connection.connect(str(control))
            connection.sendall(b'{"command": "reload"}\n')
            data = b""
            while b"\n" not in data and len(data) < _MAX_ANSWER:
                piece = connection.recv(65536)
                if not piece:
                    break
                data += piece
            answer = json.loads(data)
        except OSError as error:
            why = error.strerror or str(error)
            raise IcapdError(f"no icapd answers at the control socket {control}: {why}") from None
        except ValueError:
            raise IcapdError(f"what answers at the control socket {control} is not icapd") from None
    if not isinstance(answer, dict):
        raise IcapdError(f"what answers at the control socket {control} is not icapd")
    return answer
