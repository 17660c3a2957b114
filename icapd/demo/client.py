"""A client behind the proxy: one request by curl, and what its user saw."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS = 20  # for one whole request; a healthy one takes milliseconds
_BODY = "body"
_HEADERS = "headers"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client saw. `exit` is curl's status, `connect` and `status` are 0 where no answer came."""

    exit: int
    connect: int
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    error: str

    def header(self, name: str) -> str:
        """Return the first value of header `name` in the last answer, whatever its case, or ""."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode("utf-8", "replace")


def curl(url: str, *, proxy: str, trust: Path, options: Sequence[str] = (), program: str = "curl") -> Seen:
    """Fetch `url` through `proxy`, trusting only the CA in `trust`. Raises IcapdError if there is no curl."""
    with tempfile.TemporaryDirectory(prefix="icapd-curl-") as scratch:
        body, headers = Path(scratch, _BODY), Path(scratch, _HEADERS)
        command = [program, "-q", "-sS", "--max-time", str(_SECONDS), "--proxy", proxy, "--noproxy", ""]
        command += ["--cacert", str(trust), "-D", str(headers), "-o", str(body), *options]
        command += ["-w", "%{http_connect} %{http_code}", "--", url]
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        try:
            done = subprocess.run(command, capture_output=True, env=environment, check=False)
        except OSError as error:
            msg = f"curl is needed and cannot be run: {error.strerror} ({program})"
            raise IcapdError(msg) from error
        numbers = done.stdout.decode("ascii", "replace").split()
        connect, status = (int(number) for number in numbers[-2:]) if len(numbers) > 1 else (0, 0)
        return Seen(
            exit=done.returncode,
            connect=connect,
            status=status,
            headers=_last_head(headers.read_bytes() if headers.exists() else b""),
            body=body.read_bytes() if body.exists() else b"",
            error=done.stderr.decode("utf-8", "replace").strip(),
        )


def _last_head(data: bytes) -> tuple[tuple[str, str], ...]:
    """Return the fields of the last head in curl's `-D` file, which holds one head per answer."""
    heads = [head for head in data.decode("latin-1").split("\r\n\r\n") if head.startswith("HTTP/")]
    if not heads:
        return ()
    fields = (line.partition(":") for line in heads[-1].split("\r\n")[1:])
    return tuple((name.strip(), value.strip()) for name, _, value in fields)
