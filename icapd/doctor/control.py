"""Asks the running icapd, at its control socket, for a token and for what it saw."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 5.0
_MAX_ANSWER = 1 << 20


def say(control: Path, **request: str) -> dict[str, Any]:
    """Return the answer to one request. Raises IcapdError if none comes, or a refusal."""
    data = b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_SECONDS)
        try:
            asking.connect(str(control))
            asking.sendall(json.dumps(request).encode("ascii") + b"\n")
            while b"\n" not in data and len(data) < _MAX_ANSWER and (piece := asking.recv(65536)):
                data += piece
            answer = json.loads(data)
        except OSError as error:
            raise IcapdError(f"the control socket {control}: {error.strerror or error}") from None
        except ValueError:
            answer = None
    if not isinstance(answer, dict) or not answer.get("ok"):
        raise IcapdError(
            f"the control socket {control} gives no token: another or an older icapd serves there"
        )
    return answer
