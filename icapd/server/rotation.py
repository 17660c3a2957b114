"""The decision log's file: opened, and opened anew when it was renamed or copied away.

SIGUSR1 opens it anew, as logrotate wants it after a rename. SIGUSR2 has it left alone for a while: with
`copytruncate` what is written between the copy and the cut would be lost.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.logger import Logger

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from icapd.config import Config
    from icapd.events import DecisionLog
    from icapd.server.interfaces import Reactor

HOLD = 10.0  # s for which a log is left alone at most
_log = Logger(namespace="icapd")


def open_log(config: Config) -> int:
    """Return the descriptor of the decision log. Raises IcapdError."""
    if config.decisions is None:
        return sys.stdout.fileno()
    try:
        return os.open(config.decisions, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    except OSError as failure:
        raise IcapdError(f"cannot open the decision log {config.decisions}: {failure.strerror}") from None


@dataclass(slots=True)
class Rotation:
    """What is done with the decision log of `config` at the two signals."""

    config: Config
    decisions: DecisionLog
    reactor: Reactor
    _holds: int = 0

    def reopen(self) -> None:
        """Write to the file that has the log's name now; keep to the old one if that cannot be opened."""
        if self.config.decisions is None:
            self.decisions.release()  # standard output is whoever started us's
            return
        try:
            self.decisions.move(open_log(self.config))
        except (IcapdError, OSError) as failure:
            self.decisions.release()
            _log.error("the old decision log goes on: {why}", why=str(failure))

    def hold(self) -> None:
        """Write nothing until `reopen`, or for HOLD s."""
        self.decisions.hold()
        self._holds += 1
        asked = self._holds
        self.reactor.callLater(HOLD, lambda: self._expire(asked))

    def _expire(self, asked: int) -> None:
        if asked == self._holds:
            self.decisions.release()
