"""What `icapd check` finds out of `events`: records that go nowhere, or by a way that others can read."""

from __future__ import annotations

import ipaddress
import ssl
from typing import TYPE_CHECKING

from icapd.errors import ConfigError
from icapd.events.wires import reason_of, system_authorities, tls_context
from icapd.policy.finding import Finding
from icapd.recording import user_key
from icapd.source import read_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.config import Config
    from icapd.policy.finding import Level
    from icapd.recording import SyslogOutput


def receiver_findings(config: Config) -> Iterator[Finding]:
    """Yield what keeps records from where they are asked to go, and what others may read of them."""
    place = Place(config)
    if config.decisions is None:
        asked = {"syslog": bool(config.events.syslog), "store": config.events.store not in {"auto", "off"}}
        for name in (name for name, given in asked.items() if given):
            what = f"events.{name}: nothing comes there, since decisions go to standard output"
            yield place.finding(("events", name), "warning", what, "set `decisions: FILE`")
    try:
        user_key(config.events)
    except ConfigError as error:
        mend = "make one with `head -c 32 /dev/urandom | base64`, of mode 0600 and icapd's user"
        why = "names are hashed with it, and icapd does not start without"
        yield place.finding(("events", "user_key"), "error", str(error), mend, why)
    for number, output in enumerate(config.events.syslog):
        yield from _of(place, number, output)


class Place:
    """Where options stand in icapd.yaml."""

    def __init__(self, config: Config) -> None:
        self._file = str(config.file)
        self._document = read_document(config.file)

    def finding(
        self, path: tuple[str | int, ...], level: Level, what: str, mend: str, why: str = ""
    ) -> Finding:
        """Return one, of the line where the option is."""
        return Finding(self._file, self._document.where(path), level, "setup", what, why, mend)


def _of(place: Place, number: int, output: SyslogOutput) -> Iterator[Finding]:
    path = ("events", "syslog", number)
    to = output.to
    if to.scheme == "tls":
        unreadable = False
        for name in ("ca", "certificate", "key"):
            file = getattr(output, name)
            try:
                if file is not None:
                    file.open("rb").close()
            except OSError as error:
                unreadable = True
                what = f"{to.text} gets nothing: {file} cannot be read: {error.strerror}"
                yield place.finding((*path, name), "warning", what, "name a file that icapd's user may read")
        if not unreadable:
            yield from _tls(place, path, output)
    elif (level := _level(to.host)) is not None:
        what = f"records go to {to.text} in clear"
        why = "who is on the way can read and change who visited what"
        yield place.finding((*path, "to"), level, what, f"use tls://{to.text.partition('://')[2]}", why)


def _tls(place: Place, path: tuple[str | int, ...], output: SyslogOutput) -> Iterator[Finding]:
    try:
        tls_context(output.ca, output.certificate, output.key)
    except (OSError, ValueError) as error:
        why = reason_of(error) if isinstance(error, ssl.SSLError) else str(error)
        what = f"{output.to.text} gets nothing: ca, certificate and key do not serve: {why}"
        yield place.finding(path, "warning", what, "give PEM files, the key without a password")
    if output.ca is None:
        what = f"{output.to.text} is checked by the CAs of this system ({', '.join(system_authorities())})"
        yield place.finding((*path, "to"), "note", what, "give `ca:` if it has its own")


def _level(host: str) -> Level | None:
    """Return how much it matters that records go there in clear."""
    if host.casefold() == "localhost":
        return None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "warning"
    if address.is_loopback:
        return None
    return "note" if address.is_private else "warning"
