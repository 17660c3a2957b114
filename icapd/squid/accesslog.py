"""Squid's access log in the format `icapd` of the fragment (squid/conf/log.conf), line by line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from icapd.http import TargetError, authority_host, is_address, normal_host

_FIRST = 9  # fields before the media type, which may hold spaces
_LAST = 4  # fields behind it
_HTTPS = re.compile(r"https://([^/?#]*)")
# How OpenSSL packs "the peer sent alert N": reason 1000 + N, in the lowest bits of the error code.
_LIBRARY = re.compile(r"TLS_LIB_ERR=([0-9A-F]+)")
_REASON = 0xFFF
_ALERT = 1000
_ALERTS = 256
_CLOSED = "closed"
# The alerts by which a client says that it does not accept the certificate (RFC 8446 §6.2).
REFUSALS = {42: "bad certificate", 43: "unsupported certificate", 45: "certificate expired",
            46: "certificate unknown", 48: "unknown ca", 49: "access denied"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction as Squid logged it. `time` is seconds since the epoch, `host` in normal form or None.

    `host` of a CONNECT to an address is the TLS name, where one was sent. `bump` is Squid's mode, "bump",
    "splice", … or "-". `refusal` says how the client ended the handshake, None if it did not.
    """

    time: float
    client: str
    status: int
    method: str
    host: str | None
    bump: str
    denied: bool
    decision: str | None
    refusal: str | None


def read_entry(line: str) -> Entry | None:
    """Read one line; None if it is not of this format."""
    fields = line.split()
    if len(fields) <= _FIRST + _LAST:
        return None
    stamp, _, client, result, _, method, url = fields[:7]
    bump, decision, sni, error = fields[-_LAST:]
    verdict, _, status = result.partition("/")
    try:
        time, code = float(stamp), int(status)
    except ValueError:
        return None
    if "/" not in error:
        return None
    return Entry(
        time=time,
        client=client,
        status=code,
        method=method,
        host=_host(method, url, sni),
        bump=bump,
        denied="DENIED" in verdict,
        decision=None if decision == "-" else decision,
        refusal=_refusal(*error.split("/", 1)),
    )


def _host(method: str, url: str, sni: str) -> str | None:
    """Return the name that a rule could be about: clients choose it, so what has no form is None."""
    try:
        if method == "CONNECT":
            host = authority_host(url)
            return normal_host(sni) if is_address(host) and sni != "-" else host
        match = _HTTPS.match(url)
        return authority_host(match[1]) if match else None
    except TargetError:
        return None


def _refusal(error: str, detail: str) -> str | None:
    """Say how the client ended the handshake, from %err_code and %err_detail of Squid 5 and 6."""
    if "SQUID_TLS_ERR_ACCEPT" not in detail and error != "ERR_SECURE_ACCEPT_FAIL":
        return None
    match = _LIBRARY.search(detail)
    if match is None:
        return _CLOSED
    alert = (int(match[1], 16) & _REASON) - _ALERT
    if not 0 <= alert < _ALERTS:
        return None  # Squid's own complaint: no common version, no TLS at all
    return REFUSALS.get(alert, _CLOSED if alert == 0 else f"alert {alert}")
