"""The line in squid.conf that makes Squid read the fragment, and the ports that it then serves there.

Nothing is removed: a port that the fragment serves becomes a comment. Source: squid.conf is read in order,
and the first http_access line that matches decides.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_WAS = "# icapd init: served by the fragment above: "
_FIRST = re.compile(r"(?:http_access|http_port|https_port|ssl_bump|adaptation_\w+|icap_\w+|include)\s")
_PORT = re.compile(r"http_port\s+(?:\S*:)?(\d+)(?:\s|$)")


def included(text: str, fragment: Path, ports: Iterable[str]) -> str:
    """Return squid.conf's `text` with the fragment included before what it must come before.

    `ports` are those that the fragment serves, PORT or ADDRESS:PORT. The same text, if it is included.
    """
    line = f"include {fragment}"
    lines = text.splitlines()
    if any(each.split("#")[0].strip() == line for each in lines):
        return text
    served = {port.rpartition(":")[2] for port in ports}
    at = next((number for number, each in enumerate(lines) if _FIRST.match(each)), len(lines))
    edited = [f"{_WAS}{each}" if _port_of(each) in served else each for each in lines]
    edited[at:at] = ["# icapd init: Squid asks icapd; this must come before other http_access lines", line]
    return "\n".join(edited) + "\n"


def takes_ports(text: str, ports: Iterable[str]) -> list[str]:
    """Return the lines of squid.conf that the fragment would take the place of."""
    served = {port.rpartition(":")[2] for port in ports}
    return [line for line in text.splitlines() if _port_of(line) in served]


def _port_of(line: str) -> str | None:
    match = _PORT.match(line)
    return None if match is None else match[1]
