"""Requests of `icapd doctor`: decided by a policy of their own, and told to it as they came.

The doctor must see a page and a redirect whatever the policy says, and whoever could ask for one by a header
alone would choose what icapd decides. So a probe carries a token that only the control socket gives out, and
that ends by itself. What bodies are scanned with is what all others are scanned with.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
from importlib.resources import as_file
from typing import TYPE_CHECKING

from icapd.data import shared
from icapd.directory import Directory
from icapd.policy import load_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from icapd.policy import Policy
    from icapd.server.site import Generation

HEADER = "X-Icapd-Probe"
_FIELD = re.compile(rb"\r\nx-icapd-probe: ?([0-9a-f]{32})\r\n", re.IGNORECASE)
_SECONDS = 120.0  # that a token is good for
_MAX_TOKENS = 8
_MAX_SEEN = 100  # requests of one token
_MAX_VALUE = 200  # characters of a header


class Probes:
    """The tokens given out, and what was seen of each; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tokens: dict[bytes, tuple[float, list[dict[str, str]]]] = {}
        self._policy: Policy | None = None
        self.active = False
        """Whether any token is good: if not, no request needs to be looked at."""

    def issue(self) -> str:
        """Return a new token. Raises IcapdError if the installation lacks the probes' policy."""
        token = secrets.token_hex(16)
        self.admit(token)
        return token

    def admit(self, token: str) -> None:
        """Take a token that another process gave out. Raises IcapdError as `issue` does."""
        if self._policy is None:
            with as_file(shared("rules", "doctor", "policy.yaml")) as path:
                self._policy = load_policy(path)
        self.forget()
        while len(self._tokens) >= _MAX_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[token.encode("ascii")] = (self._clock() + _SECONDS, [])
        self.active = True

    def forget(self) -> None:
        """Drop the tokens that are no longer good."""
        now = self._clock()
        self._tokens = {token: kept for token, kept in self._tokens.items() if kept[0] > now}
        self.active = bool(self._tokens)

    def seen(self, token: str) -> list[dict[str, str]] | None:
        """Return what came with each request of `token`, oldest first; None if it is not good."""
        kept = self._tokens.get(token.encode("ascii", "replace"))
        return None if kept is None else kept[1]

    def generation(
        self, usual: Generation, point: str, headers: Mapping[bytes, bytes], head: bytes | None
    ) -> Generation:
        """Return what decides this message: `usual`, but for a probe one with the probes' policy.

        `headers` are ICAP's, `head` is that of the request inside.
        """
        match = None if head is None else _FIELD.search(head)
        kept = None if match is None else self._tokens.get(match[1].lower())
        if head is None or kept is None or self._policy is None:
            return usual
        if len(kept[1]) < _MAX_SEEN:
            told = {
                name.decode("latin-1"): value.decode("latin-1")[:_MAX_VALUE]
                for name, value in headers.items()
                if name.startswith(b"x-")
            }
            line = head.partition(b"\r\n")[0].decode("latin-1")
            kept[1].append({"point": point, "request": line, **told})
        return dataclasses.replace(usual, policy=self._policy, directory=Directory())
