"""Asks the directory of an icapd.yaml, in a process and reactor of its own: `python -m tests.directory.ask`.

Arguments: the file, then steps in order: `alice` asks, `alice+bob+alice` asks at once, `~0.5` waits. Prints
one JSON line for each answer, [user, groups or null, seconds], and the program's reports as they are.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor as _reactor

from icapd.accounts import bare_name
from icapd.config import load_config
from icapd.directory import ldap
from icapd.directory.load import _lookups
from icapd.directory.lookups import Pending

if TYPE_CHECKING:
    from icapd.directory.lookups import Lookups

reactor: Any = _reactor


class Steps:
    """Takes one step after the other."""

    def __init__(self, lookups: Lookups, steps: list[str]) -> None:
        self.lookups = lookups
        self.steps = steps
        self.open = 0

    def next(self) -> None:
        if not self.steps:
            reactor.stop()
            return
        step = self.steps.pop(0)
        if step.startswith("~"):
            reactor.callLater(float(step[1:]), self.next)
            return
        users = step.split("+")
        self.open = len(users)
        for user in users:
            begun = time.monotonic()
            found = self.lookups.ask(user, bare_name(user))
            if isinstance(found, Pending):
                found.then(lambda groups, user=user, begun=begun: self.told(user, groups, begun))  # type: ignore[misc]
            else:
                self.told(user, found, begun)

    def told(self, user: str, groups: tuple[str, ...] | None, begun: float) -> None:
        print(json.dumps([user, groups, round(time.monotonic() - begun, 2)]), flush=True)
        self.open -= 1
        if not self.open:
            reactor.callLater(0, self.next)


def main(file: str, *steps: str) -> None:
    config = load_config(Path(file))
    assert config.users.ldap is not None
    ldap.LdapQuery.report = lambda _self, what, _good: print(what, flush=True)  # type: ignore[method-assign,assignment]
    reactor.callWhenRunning(Steps(_lookups(config, config.users.ldap), list(steps)).next)
    reactor.run(installSignalHandlers=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
