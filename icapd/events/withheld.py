"""A log that withholds: queries, clients and users are taken out of a line before it gets its number."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from icapd.events.privacy import Privacy

if TYPE_CHECKING:
    from icapd.events.log import Log
    from icapd.recording import EventOptions

_MAX_ASKERS = 4096  # remembered; a full memory is emptied
_TEXT = r'"[^"\\]*(?:\\.[^"\\]*)*"'
# As record_line writes them. No value can hold this: quotes inside values are escaped.
_FACTS = re.compile(rf'"url":({_TEXT}),("client":(?:null|{_TEXT}),"user":(?:null|{_TEXT}),)')
_PORT = re.compile(r',"client_port":[0-9]+')
_encoded = json.JSONEncoder(separators=(",", ":")).encode


def withholding(log: Log, events: EventOptions, secret: bytes) -> Log:
    """Return the log to write to, for `log` to have what `events` lets through; `secret` is for hashes."""
    privacy = Privacy(events.strip_query, events.anonymise, events.users, secret)
    return WithheldLog(log, privacy) if privacy else log


class WithheldLog:
    """What stands before the log of a process where something is to be withheld."""

    def __init__(self, log: Log, privacy: Privacy) -> None:
        self.source = log.source
        self._log = log
        self._privacy = privacy
        self._askers: dict[str, str] = {}

    @property
    def lost(self) -> int:
        """Lines that could not be written."""
        return self._log.lost

    def flush(self) -> None:
        """Called by the clock."""
        self._log.flush()

    def append(self, line: str) -> None:
        """Take one line, open."""
        facts = _FACTS.search(line)
        if facts is None:
            self._log.append(_encoded(self._privacy.apply(json.loads(line + "}")))[:-1])
            return
        url = facts[1]
        if self._privacy.strip_query and ("?" in url or "#" in url):
            url = url.partition("?")[0].partition("#")[0] + '"'
        rest = line[facts.end() :]
        if self._privacy.anonymise_client:
            rest = _PORT.sub("", rest)
        self._log.append(f'{line[: facts.start()]}"url":{url},{self._asker(facts[2])}{rest}')

    def _asker(self, part: str) -> str:
        found = self._askers.get(part)
        if found is None:
            if len(self._askers) >= _MAX_ASKERS:
                self._askers.clear()
            told = self._privacy.apply(json.loads(f"{{{part[:-1]}}}"))
            found = self._askers[part] = _encoded(told)[1:-1] + ","
        return found
