"""Probes of what is downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from icapd.doctor.bench import unexpected
from icapd.doctor.model import Outcome, fault, ok, warning
from icapd.doctor.origin import LARGE, eicar, large

if TYPE_CHECKING:
    from icapd.doctor.bench import Bench

_OK, _FORBIDDEN = 200, 403
_ALONE = ("this machine has no address but loopback to serve a file on", "look from another")


class Large:
    """A Squid with bug 5352 stalls after 65,535 bytes of a response that icapd holds back."""

    name = "large files"
    did = f"downloaded {LARGE:,} bytes through Squid"
    needs: Literal["", "squid", "icapd"] = "icapd"

    def look(self, bench: Bench) -> Outcome:
        """See that they come whole."""
        if bench.origin is None:
            return warning(*_ALONE)
        answer = bench.get(f"{bench.origin.url}/large")
        if answer.status != _OK:
            return fault(*unexpected(answer))
        if answer.body != large():
            mend = "squid.version of icapd.yaml must not be newer than Squid (bug 5352); see squid -v"
            return fault(f"{len(answer.body):,} of {LARGE:,} bytes came: {answer.error or 'changed'}", mend)
        return ok("come whole, through the scan" if bench.config.adapters else "come whole")


class Eicar:
    """The test file that every scanner knows."""

    name = "EICAR"
    did = "downloaded the EICAR test file through Squid"
    needs: Literal["", "squid", "icapd"] = "icapd"

    def look(self, bench: Bench) -> Outcome:
        """See that it is blocked, if anything scans."""
        if not bench.config.adapters:
            return ok("not tried: icapd.yaml has no adapters, so nothing is scanned")
        if bench.origin is None:
            return warning(*_ALONE)
        answer = bench.get(f"{bench.origin.url}/eicar.com")
        if answer.status == _FORBIDDEN and not answer.squid_error and eicar() not in answer.body:
            return ok("blocked")
        names = ", ".join(entry.name for entry in bench.config.adapters)
        if eicar() in answer.body:
            return fault(
                f"it comes through {names}", "has it loaded its signatures? icapd scan FILE shows more"
            )
        return fault(*unexpected(answer))
