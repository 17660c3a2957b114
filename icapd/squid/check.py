"""Let the real Squid read a configuration, and read what it says about it."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.errors import IcapdError
from icapd.squid.write import write_fragments

if TYPE_CHECKING:
    from icapd.config import Config

SQUID = "/usr/sbin/squid"
# The fragment lacks no more than this to be a whole configuration that touches no file of a running Squid.
_AROUND = """\
pid_filename none
access_log none
cache_log /dev/null
cache_store_log none
include {fragment}
"""

_VERSION = re.compile(r"^Squid Cache: Version (\d+(?:\.\d+)*)")
_STAMP = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?: \S+)?\| ")
_COMPLAINT = re.compile(r"\b(?:ERROR|WARNING|FATAL|Bungled|unrecognized|not found)\b")
# Of the machine, not of what is read: it has no name in DNS. Squid says so of every configuration.
_NAMELESS = re.compile(
    r"^WARNING: (?:'.*' rDNS test failed|Could not determine this machines public hostname)"
)
_SECONDS = 60  # Squid resolves names in ACLs while it parses


def parse_check(conf: Path, squid: str = SQUID) -> list[str]:
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
    complaints = [line for line in lines if _is_complaint(line)]
    if done.returncode and not complaints:
        last = lines[-1] if lines else "nothing said"
        complaints = [f"squid -k parse ended with status {done.returncode}: {last}"]
    return complaints


def _is_complaint(line: str) -> bool:
    quoted = line.startswith("Processing: ")
    return _COMPLAINT.search(line) is not None and not quoted and not _NAMELESS.match(line)


def squid_version(squid: str = SQUID) -> str:
    """Return what `squid -v` says it is: "5.7", "6.13". Raises IcapdError if it says nothing."""
    try:
        done = subprocess.run(  # noqa: S603  (the path is the caller's, no shell)
            [squid, "-v"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise IcapdError(f"{squid} -v: {getattr(error, 'strerror', None) or error}") from None
    match = _VERSION.match(done.stdout.decode("ascii", "replace"))
    if match is None:
        raise IcapdError(f"{squid} -v: no version of Squid")
    return match[1]


def check_fragment(config: Config, squid: str = SQUID) -> list[str]:
    """Let Squid parse what `write_fragments` would write for `config`; return its complaints.

    The error pages are taken as found where they will be. Raises IcapdError as parse_check and
    write_fragments do.
    """
    with tempfile.TemporaryDirectory(prefix="icapd-squid-") as directory:
        out = Path(directory)
        here = config.squid.model_copy(update={"error_directory": None})
        fragment, *_ = write_fragments(config.model_copy(update={"squid": here}), out)
        whole = out / "squid.conf"
        whole.write_text(_AROUND.format(fragment=fragment), encoding="utf-8")
        return parse_check(whole, squid)
