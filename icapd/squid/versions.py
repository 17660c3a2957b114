"""What differs between the Squid versions icapd writes for: one table, read nowhere else.

No icap_*, adaptation_*, ssl_bump or http_port option that the fragment uses changed between
5.7 and 7.6 (from their sources; 5.7 and 6.13 pass the same end-to-end tests), so the table is short.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """What holds from version `first` on, up to the next row's."""

    first: tuple[int, ...]
    stalls: bool
    """Bug 5352: stops reading a response after 65,535 bytes until the adapted one begins."""
    warns: bool
    """Bug 5187: warns of its own workaround whenever REQMOD answers with a page, and can be told not to."""


OLDEST = (5, 7)
_TABLE = (
    # Debian's 5.7 got it with the backport for CVE-2024-25111
    VersionFacts((5, 7), stalls=True, warns=False),
    VersionFacts((6,), stalls=True, warns=True),  # 6.8-6.12 stall, 6.13 in part
    VersionFacts((6, 14), stalls=False, warns=True),
    VersionFacts((7,), stalls=True, warns=True),  # 7.0.1 in part
    VersionFacts((7, 0, 2), stalls=False, warns=True),
)


def version_facts(version: str) -> VersionFacts:
    """Return what holds for Squid `version`, "5.7" or "7.0.2".

    Raises ValueError, whose text is for the user, for one older than 5.7.
    """
    number = tuple(map(int, version.split(".")))
    if number < OLDEST:
        msg = f"Squid {version} cannot carry a page into a tunnel; icapd writes for 5.7 and newer"
        raise ValueError(msg)
    return [row for row in _TABLE if row.first <= number][-1]
