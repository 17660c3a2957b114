from pathlib import Path

import pytest

from icapd.demo.complaints import complaints

QUIET = """\
2026/11/24 12:03:07 kid1| Adaptation support is on
2026/11/24 12:03:07 kid1| Set Current Directory to /tmp/icapd-demo-x/run
2026/11/24 12:03:07 kid1| Logfile: opening log stdio:/tmp/icapd-demo-x/logs/access.log
2026/11/24 12:03:09 kid1| ERROR: failure while accepting a TLS connection on conn1080 local=127.0.0.1:50303
2026/11/24 12:14:56 kid1| WARNING: no_suid: setuid(0): (1) Operation not permitted
"""


def test_a_healthy_squid_has_none(tmp_path: Path) -> None:
    log = tmp_path / "cache.log"
    log.write_text(QUIET)
    assert complaints(log) == []


@pytest.mark.parametrize(
    "line",
    [
        "2026/11/24 12:03:07 kid1| WARNING: Squid got an invalid ICAP OPTIONS response from service icap://x/reqmod",
        "2026/11/24 12:03:07 kid1| essential ICAP service is down after an options fetch failure: icap://x/reqmod",
        "2026/11/24 12:03:07 kid1| suspending ICAP service for too many failures",
        "2026/11/24 12:03:07 kid1| Adaptation::Icap::Xaction::noteCommRead threw exception: corrupted chunk size",
        '2026/11/24 12:03:07 kid1| assertion failed: ModXact.cc:1: "state.writing"',
        "2026/11/24 12:03:07 kid1| ERROR: ICAP Trailer response header field must not be empty (salvaged)",
    ],
)
def test_what_squid_says_of_icap_is_one(tmp_path: Path, line: str) -> None:
    log = tmp_path / "cache.log"
    log.write_text(QUIET + line + "\n")
    assert complaints(log) == [line]
