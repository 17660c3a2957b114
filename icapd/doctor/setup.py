"""Probes of what is set up on this machine: icapd's ports, Squid's files, the CA, the clocks."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from icapd.doctor.icap import options
from icapd.doctor.model import Outcome, fault, ok, warning
from icapd.errors import IcapdError
from icapd.pki import database_findings, findings, read_certificate
from icapd.policy import load_policy
from icapd.squid import parse_check, render_conf, squid_version
from icapd.squid.conf import SIGNATURE
from icapd.squid.versions import version_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.doctor.bench import Bench

_OK = 200
_OFF = 30.0  # s; Squid takes OPTIONS from the past for stale
_INCLUDE = re.compile(r"^\s*include\s+(.+?)\s*$", re.MULTILINE)
_WRITE = "icapd squid-conf, then squid -k reconfigure"
_DEEP = 5  # files that include files


class Answers:
    """Both services, on each address of `listen`."""

    name = "icapd"
    did = "asked each service for its OPTIONS"
    needs: Literal["", "squid", "icapd"] = ""

    def look(self, bench: Bench) -> Outcome:
        """See that all answer 200."""
        for listen in bench.config.listen:
            for service in ("reqmod", "respmod"):
                try:
                    status = options(listen, service).status
                except OSError as error:
                    why = error.strerror or str(error)
                    return fault(f"{listen.text}/{service}: {why}", "start icapd, and read what it says")
                if status != _OK:
                    return fault(f"{listen.text}/{service} answers {status}", "read what icapd says")
        return ok(f"answers on {', '.join(listen.text for listen in bench.config.listen)}")


class Clock:
    """Squid asks OPTIONS again and again if their Date lies behind its own clock."""

    name = "clock"
    did = "compared the dates of icapd and Squid with this machine's"
    needs: Literal["", "squid", "icapd"] = "icapd"

    def look(self, bench: Bench) -> Outcome:
        """See that neither is off."""
        dates = {"icapd": options(bench.config.listen[0], "reqmod").date}
        dates["Squid"] = bench.get("http://blocked.icapd-doctor.invalid/").date
        now = datetime.now(UTC)
        off = {name: abs((date - now).total_seconds()) for name, date in dates.items() if date is not None}
        for name, seconds in off.items():
            if seconds > _OFF:
                return fault(f"{name}'s clock is off by {seconds:.0f} s", "keep it by NTP")
        return ok("icapd, Squid and this machine agree")


class Configuration:
    """Squid's whole configuration, as Squid reads it."""

    name = "squid.conf"
    did = "let Squid read it (squid -k parse)"
    needs: Literal["", "squid", "icapd"] = ""

    def look(self, bench: Bench) -> Outcome:
        """See that it complains of nothing."""
        squid, conf = bench.where.squid, bench.where.squid_conf
        if squid is None:
            return warning("no Squid is installed here to read it", "run icapd doctor on Squid's machine")
        complaints = parse_check(conf, squid)
        if complaints:
            more = f" (and {len(complaints) - 1} more)" if complaints[1:] else ""
            return fault(f"Squid complains: {complaints[0]}{more}", f"squid -k parse -f {conf}")
        return ok(f"Squid has no complaint of {conf}")


class Fragment:
    """Whether squid.conf includes what icapd would write now."""

    name = "fragment"
    did = "compared what squid.conf includes with what icapd squid-conf would write"
    needs: Literal["", "squid", "icapd"] = ""

    def look(self, bench: Bench) -> Outcome:
        """Find it, and compare."""
        conf = bench.where.squid_conf
        written = next((path for path in _included(conf) if _is_ours(path)), None)
        if written is None:
            return fault(
                f"{conf} includes no file that icapd wrote",
                "include it before squid.conf's own http_access lines",
            )
        settings = bench.config.squid
        errors = settings.error_directory or written.parent.absolute() / "errors"
        expected = render_conf(bench.config, errors, load_policy(bench.config.policy))
        if written.read_text(encoding="utf-8") != expected:
            return warning(f"{written} is not what icapd.yaml says now", _WRITE)
        return ok(f"{written} is what icapd.yaml says")


class Version:
    """Whether the fragment is for this Squid."""

    name = "Squid's version"
    did = "asked squid -v"
    needs: Literal["", "squid", "icapd"] = ""

    def look(self, bench: Bench) -> Outcome:
        """Compare what matters of the versions."""
        if bench.where.squid is None:
            return warning("no Squid is installed here", "run icapd doctor on Squid's machine")
        version, meant = squid_version(bench.where.squid), bench.config.squid.version
        try:
            here, there = version_facts(version), version_facts(meant)
        except ValueError as error:
            return fault(str(error), "install Squid 5.7 or newer")
        bug = "has bug 5352 (icapd works around it)" if here.stalls else "is free of bug 5352"
        if (here.stalls, here.warns) != (there.stalls, there.warns):
            mend = f'squid: {{version: "{version}"}} in icapd.yaml; {_WRITE}'
            return warning(f"Squid {version} {bug}, but icapd.yaml is for {meant}", mend)
        return ok(f"Squid {version} {bug}")


class Authority:
    """The CA that decrypted sites are signed with."""

    name = "CA"
    did = "read the bump CA: its dates, its mode"
    needs: Literal["", "squid", "icapd"] = ""

    def look(self, bench: Bench) -> Outcome:
        """See that it is good, and stays so for a while."""
        if not bench.bumps:
            return ok("not used: no port decrypts")
        try:
            found = list(findings(bench.config.squid.ca, datetime.now(UTC)))
        except PermissionError:
            return warning(f"{bench.config.squid.ca} is closed to us", "run icapd doctor as root")
        for level, make in (("error", fault), ("warning", warning)):
            for one in found:
                if one.level == level:
                    text, _, mend = one.text.partition("; ")
                    return make(text, mend or "icapd ca show tells more")
        left = read_certificate(bench.config.squid.ca).not_after - datetime.now(UTC)
        return ok(f"good for {left.days} days")


class Database:
    """Squid's database of certificates and keys."""

    name = "certificate database"
    did = "looked at the modes of Squid's certificate database"
    needs: Literal["", "squid", "icapd"] = ""

    def look(self, bench: Bench) -> Outcome:
        """See that it is there, and closed to others."""
        ssl_db = bench.config.squid.ssl_db
        if not bench.bumps:
            return ok("not used: no port decrypts")
        if not ssl_db.exists():
            return fault(f"{ssl_db} is not there", "icapd ca create makes it")
        found = [one.text for one in database_findings(ssl_db)]
        if found:
            text, _, mend = found[0].partition("; ")
            return warning(text, mend)
        return ok(f"{ssl_db} is closed to others")


def _included(conf: Path, depth: int = 0) -> Iterator[Path]:
    """Yield the files that `conf` includes, however deep. Raises IcapdError if it cannot be read."""
    try:
        text = conf.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise IcapdError(f"{conf}: {error.strerror}") from None
    for match in _INCLUDE.finditer(text):
        for word in match[1].split():
            path = Path(word.strip('"'))
            for each in sorted(path.parent.glob(path.name)):
                yield each
                if depth < _DEEP:
                    yield from _included(each, depth + 1)


def _is_ours(path: Path) -> bool:
    return path.read_text(encoding="utf-8", errors="replace").startswith(SIGNATURE)
