"""Downloads that were cut since their end, or what was found in it, came too late: told on the next page.

Of a block that comes when bytes have gone out the user sees a broken download and no reason. So it is
remembered for a while: who asks for the same URL again is answered at once, and the next page that the same
client opens is, once, one that says what was stopped, and leads on.
"""

from __future__ import annotations

import html
import pickle  # noqa: TID251  # what icapd's own processes tell each other
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from icapd.adaptation import Outcome, UseAdapted, carry_out
from icapd.pages import Pages, page_values
from icapd.replies import blocked_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from icapd.policy import Decision, Rule
    from icapd.server.site import Generation
    from icapd.transaction import Client, Transaction

MAX_CLIENTS = 10_000  # the oldest is forgotten
_MAX_STOPPED = 8  # of one client
_SAME_URL = 600.0  # s
_NEXT_PAGE = 120.0  # s
_Key = tuple[str | None, str | None]


@dataclass(slots=True)
class _Stopped:
    url: str
    tx: Transaction
    decision: Decision
    decision_id: str
    at: float
    told: bool = False


@dataclass(frozen=True, slots=True)
class _ToldRule:
    """What pages say of a rule; the rule itself belongs to one process."""

    name: str
    source: str


class LateBlocks:
    """What was cut, by who had asked for it."""

    def __init__(self) -> None:
        self.by_client: dict[_Key, list[_Stopped]] = {}
        self._notice: Pages | None = None
        self.tell: Callable[[bytes], None] | None = None
        """Called with what other workers have to `hear`."""

    def __bool__(self) -> bool:
        return bool(self.by_client)

    def note(self, tx: Transaction, url: str, decision: Decision, decision_id: str) -> None:
        """Remember that `tx` was cut by `decision`."""
        one = _Stopped(url, tx, decision, decision_id, time.monotonic())
        self._keep(one)
        if self.tell is not None:
            lean = replace(
                decision,
                rule=decision.rule and cast("Rule", _ToldRule(decision.rule.name, decision.rule.source)),
            )
            self.tell(pickle.dumps(replace(one, decision=lean)))

    def hear(self, data: bytes) -> None:
        """Take what another worker told: a block of its own, or that one was explained."""
        told = pickle.loads(data)  # noqa: S301  # of another process of this icapd
        if isinstance(told, _Stopped):
            self._keep(told)
        else:
            for one in self.by_client.get(told[0], ()):
                one.told = one.told or one.decision_id == told[1]

    def _explained(self, key: _Key, stopped: _Stopped) -> None:
        if not stopped.told and self.tell is not None:
            self.tell(pickle.dumps((key, stopped.decision_id)))
        stopped.told = True

    def _keep(self, new: _Stopped) -> None:
        key = _key(new.tx.client)
        known = self.by_client.pop(key, [])
        if len(self.by_client) >= MAX_CLIENTS:
            del self.by_client[next(iter(self.by_client))]
        kept = [one for one in known if one.url != new.url][1 - _MAX_STOPPED :]
        self.by_client[key] = [*kept, new]

    def forget(self) -> None:
        """Drop what is too old; called now and then."""
        now = time.monotonic()
        for key, stopped in tuple(self.by_client.items()):
            kept = [one for one in stopped if now - one.at < _SAME_URL]
            if kept:
                self.by_client[key] = kept
            else:
                del self.by_client[key]

    def explain(self, tx: Transaction, generation: Generation, decision_id: str, url: str) -> Outcome | None:
        """Return the answer to a request of a client that has something to be told, else None."""
        request = tx.request
        if request is None or request.method not in {"GET", "HEAD"}:
            return None
        now = time.monotonic()
        for stopped in reversed(self.by_client.get(_key(tx.client), [])):
            age = now - stopped.at
            if stopped.url == url and age < _SAME_URL:
                self._explained(_key(tx.client), stopped)
                return _again(tx, stopped, generation, decision_id)
            if not stopped.told and age < _NEXT_PAGE and _opens_page(tx):
                self._explained(_key(tx.client), stopped)
                return self._told(tx, stopped, decision_id, url)
        return None

    def _told(self, tx: Transaction, stopped: _Stopped, decision_id: str, url: str) -> Outcome:
        """Tell what was stopped, with a link to what was asked for now."""
        if self._notice is None:
            self._notice = Pages.notice()
        decision = stopped.decision
        values = page_values(
            tx=stopped.tx, decision=decision, decision_id=stopped.decision_id, url=stopped.url
        )
        page = self._notice.block(values)
        if url.startswith(("http://", "https://")):
            link = f'<p><a href="{html.escape(url)}">{html.escape(url[:200])}</a></p>'
            page = page.replace(b"</main>", link.encode("utf-8", "replace") + b"</main>", 1)
        reply = blocked_reply(tx, lambda: page, decision_id, fits=False, close=False)
        return Outcome(replace(decision, stage="notice"), UseAdapted(*reply, True))


def _again(tx: Transaction, stopped: _Stopped, generation: Generation, decision_id: str) -> Outcome:
    return carry_out(
        tx, stopped.decision, generation.policy, generation.pages, decision_id, marks_connect=False
    )


def _opens_page(tx: Transaction) -> bool:
    """Whether a person asks for a page in a window of his own, and not a script or a part of a page."""
    request = tx.request
    assert request is not None  # noqa: S101  # asked by the only caller
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get(b"sec-fetch-mode") == b"navigate"
        and headers.get(b"sec-fetch-dest") == b"document"
    )


def _key(client: Client) -> _Key:
    return (client.address, client.user)
