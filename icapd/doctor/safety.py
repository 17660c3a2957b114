"""Probes of what must not be possible through Squid."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from icapd.doctor.bench import BLOCKED
from icapd.doctor.model import Outcome, fault, ok, warning
from icapd.doctor.origin import Origin
from icapd.squid.conf import MARKS

if TYPE_CHECKING:
    from icapd.doctor.bench import Bench

_OK = 200
_VIA = re.compile(r"1\.1 (\S+) \(squid")  # under no other name does it answer as its manager
_DENIED = "ERR_ACCESS_DENIED"
_FIRST = "the fragment's lines must stand before all http_access lines of squid.conf"


class Forged:
    """Only icapd may set its marks: a client that could would choose what Squid does."""

    name = "forged marks"
    did = f"sent {', '.join(MARKS)} as a client"
    needs: Literal["", "squid", "icapd"] = "icapd"

    def look(self, bench: Bench) -> Outcome:
        """See that Squid refuses each, before it asks icapd."""
        for mark in MARKS:
            before = len(bench.seen())
            answer = bench.get(f"http://{BLOCKED}/", {mark: "block"})
            if len(bench.seen()) > before or answer.squid_error != _DENIED:
                return fault(f"Squid takes {mark} from a client", _FIRST)
        return ok("Squid refuses them")


class Loopback:
    """What listens on the proxy's loopback must not be open to all its users."""

    name = "loopback"
    did = "asked Squid for a port of ours on 127.0.0.1, and for icapd's"
    needs: Literal["", "squid", "icapd"] = "squid"

    def look(self, bench: Bench) -> Outcome:
        """See that a port that does listen there is not reached."""
        canary = Origin("127.0.0.1")
        try:
            port = canary.server_address[1]
            for host in ("127.0.0.1", "localhost"):
                bench.get(f"http://{host}:{port}/loopback")
                if canary.was_reached():
                    return fault(f"any client reaches {host} of Squid's machine", _FIRST)
                bench.inside(host, int(port))
                if canary.was_reached():
                    return fault(f"any client reaches {host} of Squid's machine by CONNECT", _FIRST)
            for listen in bench.config.listen:
                answer = bench.get(f"http://127.0.0.1:{listen.port}/")
                if answer.status and answer.squid_error != _DENIED:
                    return fault(f"icapd's port {listen.port} is reached through Squid", _FIRST)
        finally:
            canary.stop()
        return ok("Squid refuses to go there")


class Admin:
    """Squid's cache manager tells of all clients."""

    name = "Squid's manager"
    did = "asked Squid's cache manager as a client"
    needs: Literal["", "squid", "icapd"] = "squid"

    def look(self, bench: Bench) -> Outcome:
        """See that it is closed."""
        if bench.proxy is None:
            return ok("not tried: all ports intercept")
        _, port = bench.proxy
        via = _VIA.search(bench.get("http://blocked.icapd-doctor.invalid/").headers.get("via", ""))
        if via is None:
            return ok("not tried: Squid does not tell its name (via off)")
        answer = bench.get(f"http://{via[1]}:{port}/squid-internal-mgr/info")
        if answer.status == _OK:
            return warning("it answers to this machine", "http_access deny manager, as in the fragment")
        return ok("closed")


class WebSocket:
    """An upgraded connection is a tunnel that nobody looks into."""

    name = "WebSocket"
    did = "asked a page of our own for an upgrade, through Squid"
    needs: Literal["", "squid", "icapd"] = "icapd"

    def look(self, bench: Bench) -> Outcome:
        """See whether Squid hands the upgrade on."""
        if bench.origin is None:
            return warning("this machine has no address but loopback to serve a page on", "look from another")
        fields = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "aWNhcGQgZG9jdG9yIDEyMw==",
        }
        bench.get(f"{bench.origin.url}/websocket", fields)
        headers = next((told for path, told in bench.origin.asked if path == "/websocket"), None)
        if headers is None:
            return warning("the request did not reach us", "see the lines above")
        if "upgrade" in headers:
            return warning(
                "Squid hands upgrades on: what is said after one is not looked at",
                "no http_upgrade_request_protocols in squid.conf, or only for sites that you trust",
            )
        return ok("Squid hands no upgrade on: WebSockets do not open, nothing passes unseen")
