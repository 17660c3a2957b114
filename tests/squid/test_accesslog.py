"""Lines that Squid 5.7 wrote, and what it writes now when a client refuses the certificate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from icapd.squid.accesslog import Entry, read_entry
from tests.squid.refusing import accept, leave, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.squid.lab import Lab

# Squid 5.7 with OpenSSL 3.0; %s is what followed ERR_.
CONNECT = "1795533129.057     59 10.0.0.7 NONE_NONE/200 0 CONNECT allowed.test:443 - HIER_NONE/- - bump - allowed.test %s"
FAILED = "ERR_SECURE_ACCEPT_FAIL/SQUID_TLS_ERR_ACCEPT"


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        ("-/-", None),
        (f"{FAILED}+TLS_LIB_ERR=A000418+TLS_IO_ERR=1", "unknown ca"),
        (f"{FAILED}+TLS_LIB_ERR=A000412+TLS_IO_ERR=1", "bad certificate"),
        (f"{FAILED}+TLS_LIB_ERR=A000416+TLS_IO_ERR=1", "certificate unknown"),
        (f"{FAILED}+TLS_LIB_ERR=14094418+TLS_IO_ERR=1", "unknown ca"),  # OpenSSL 1.1
        (f"{FAILED}+TLS_LIB_ERR=A0003E8+TLS_IO_ERR=1", "closed"),
        (f"{FAILED}+TLS_LIB_ERR=A00042E+TLS_IO_ERR=1", "alert 70"),
        (f"{FAILED}+TLS_LIB_ERR=A0000C1+TLS_IO_ERR=1", None),  # no cipher in common: Squid's own complaint
        (f"{FAILED}+TLS_IO_ERR=5", "closed"),
        ("ERR_CLIENT_GONE/WITH_CLIENT", None),
    ],
)
def test_an_error_is_told_as_what_the_client_said(error: str, refusal: str | None) -> None:
    entry = read_entry(CONNECT % error)
    assert entry == Entry(
        1795533129.057, "10.0.0.7", 200, "CONNECT", "allowed.test", "bump", False, None, refusal
    )


def test_requests_inside_denied_ones_and_addresses() -> None:
    inside = read_entry(
        "1795533128.592 0 ::1 NONE_NONE/403 413 GET https://Blocked.test:443/a - HIER_NONE/- text/html; x - d42 blocked.test ERR_ICAPD_BLOCK/-"
    )
    assert inside is not None
    assert (inside.host, inside.status, inside.decision) == ("blocked.test", 403, "d42")
    denied = read_entry(CONNECT.replace("NONE_NONE/200", "TCP_DENIED/200") % "ERR_ICAPD_BLOCK/-")
    assert denied is not None
    assert denied.denied
    address = read_entry((CONNECT % "-/-").replace("allowed.test:443", "192.0.2.1:443"))
    assert address is not None
    assert address.host == "allowed.test"
    unnamed = read_entry(
        (CONNECT % "-/-").replace("allowed.test:443", "[::1]:443").replace("allowed.test", "-")
    )
    assert unnamed is not None
    assert unnamed.host == "::1"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "1795533129.057 59 10.0.0.7 TCP_MISS/200 0 GET http://a/ - HIER_DIRECT/10.0.0.1 text/html",  # Squid's own format
        CONNECT % "-",
        (CONNECT % "-/-").replace("1795533129.057", "today"),
        (CONNECT % "-/-").replace("/200", "/x"),
    ],
)
def test_other_lines_are_none(line: str) -> None:
    assert read_entry(line) is None


@pytest.mark.parametrize("host", ["a b", '"]}', "x" * 300, "[::1", "é\x00"])
def test_what_a_client_made_up_is_no_host(host: str) -> None:
    entry = read_entry((CONNECT % "-/-").replace("allowed.test:443", host + ":443"))
    assert entry is None or entry.host is None or entry.host.isascii()


def last(lab: Lab, act: Callable[[], None]) -> Entry:
    """The CONNECT that Squid logs of it."""
    before = len(lab.access("icapd"))
    act()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        entries = [
            read_entry(line) for line in lab.access("icapd")[before:].splitlines() if " CONNECT " in line
        ]
        if entries:
            assert entries[0] is not None
            return entries[0]
        time.sleep(0.05)
    raise AssertionError("nothing was logged")


def test_what_the_real_squid_writes_is_understood(lab: Lab) -> None:
    proxy, port, host = lab.bump_port, lab.https.port, "allowed.test"
    for newest in (True, False):
        entry = last(lab, lambda newest=newest: refuse(proxy, host, port, newest=newest))  # type: ignore[misc]
        assert (entry.host, entry.bump, entry.refusal) == (host, "bump", "unknown ca")
    for alert, said in ((42, "bad certificate"), (46, "certificate unknown"), (None, "closed")):
        entry = last(lab, lambda alert=alert: leave(proxy, host, port, alert=alert))  # type: ignore[misc]
        assert (entry.host, entry.refusal) == (host, said)
    entry = last(lab, lambda: accept(proxy, host, port, trust=str(lab.directory / "trust.pem")))
    assert (entry.host, entry.status, entry.refusal) == (host, 200, None)
    blocked = last(lab, lambda: refuse(proxy, "blocked.test", port))
    assert blocked.denied
    assert blocked.decision == "d42"
