"""What Squid complains of in cache.log: nothing, as long as icapd speaks ICAP as Squid expects it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Every line at a level of complaint, and every line that names ICAP, an adapted message, an exception or an
# abandoned transaction: Squid is silent on ICAP while all is well.
_COMPLAINT = re.compile(
    r"WARNING|ERROR|FATAL|BUG|assertion|exception|abandon|suspend|essential|ICAP|ModXact|adapted"
)
# But for a client that refuses the certificate it is shown, an origin that shows a bad one, and a Squid that
# was not started by root.
_OTHERS = re.compile(
    r"[Ee]rror negotiating (SSL|TLS)|ERROR: (failure while accepting|negotiating) .*TLS|SQUID_TLS_ERR"
    r"|no_suid: setuid"
)


def complaints(cache_log: Path) -> list[str]:
    """Return the lines of `cache_log` that complain, from Squid's start on."""
    lines = cache_log.read_text("utf-8", "replace").splitlines()
    return [line for line in lines if _COMPLAINT.search(line) and not _OTHERS.search(line)]
