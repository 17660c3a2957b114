"""Squid's side of icapd: one fragment of squid.conf and the error pages it names.

The text of the fragment lies in `squid/conf/*.conf`, one file a block, each with its reasons as
comments; `blocks` says which block belongs into a configuration and what its `@names@` stand for,
`versions` is the one table of what differs between Squid 5.7 and 7. The fragment is included from
squid.conf before its final `http_access` lines (as Debian's conf.d is), or makes a whole
configuration together with a few lines on logs and process id.
"""

from icapd.squid.check import check_fragment, parse_check, squid_version
from icapd.squid.conf import render_conf
from icapd.squid.steps import Answers
from icapd.squid.write import is_foreign, write_fragments

__all__ = [
    "Answers",
    "check_fragment",
    "is_foreign",
    "parse_check",
    "render_conf",
    "squid_version",
    "write_fragments",
]
