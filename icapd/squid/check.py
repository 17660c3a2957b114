"""Let the real Squid read a configuration, and read what it says about it."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from pathlib import Path

_STAMP = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?: \S+)?\| ")
_COMPLAINT = re.compile(r"\b(?:ERROR|WARNING|FATAL|Bungled)\b")
_SECONDS = 60  # Squid resolves names in ACLs while it parses


def parse_check(conf: Path, squid: str = "/usr/sbin/squid") -> list[str]:
    """Run `squid -k parse` on the whole configuration `conf`; return its complaints, [] if it is good.

    Squid's exit status is 0 for a missing ACL file and other faults, so its output is read.
    Raises IcapdError if Squid is missing or does not come to an end.
    """
    try:
        done = subprocess.run(  # noqa: S603  (the path is the caller's, no shell)
            [squid, "-k", "parse", "-f", str(conf)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except OSError as error:
        msg = f"{squid}: {error.strerror}; is Squid with OpenSSL installed (Debian: squid-openssl)?"
        raise IcapdError(msg) from None
    except subprocess.TimeoutExpired:
        msg = f"{squid} -k parse -f {conf}: no end after {_SECONDS} s"
        raise IcapdError(msg) from None
    lines = [_STAMP.sub("", line) for line in done.stdout.splitlines()]
    complaints = [line for line in lines if _COMPLAINT.search(line) and not line.startswith("Processing: ")]
    if done.returncode and not complaints:
        complaints = [f"squid -k parse ended with status {done.returncode}: {' '.join(lines[-1:])}".rstrip()]
    return complaints
