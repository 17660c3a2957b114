"""What is known of hosts whose every request is decided alike, and the block that answers one, made ready.

A decision is prepared once: of its line in the log and of its page all is there but what the request
brings. `Hosts` remembers for one policy which prepared decision, if any, a host leads to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.adaptation import UseAdapted
from icapd.events import verdict_part
from icapd.http import RequestHead
from icapd.metrics.words import ALLOW, BLOCK, BYPASS
from icapd.pages import page_date, page_values
from icapd.policy import Allow, Block, Bypass
from icapd.protocol import Answer, naming
from icapd.replies import blocked_reply, is_page_at_a_glance, page_head
from icapd.server.answering import adapted
from icapd.transaction import Point, Transaction

if TYPE_CHECKING:
    from icapd.pages import BegunPage, Pages
    from icapd.policy import Decision, Policy

MAX_HOSTS = 16_384
MAX_PREPARED = 1_024  # decisions: rules times the categories they show
_LATER = frozenset({"client_ip", "date", "decision_id", "host", "method", "url", "user", "user_agent"})
_MAY_LACK = ("client_ip", "user", "user_agent")
_COUNTED: dict[type, int] = {Allow: ALLOW, Bypass: BYPASS, Block: BLOCK}


class Prepared:
    """One decision: `verdict` is its part of the log's line; `blocks` and `counted` tell what it comes to."""

    __slots__ = ("_begun", "_known", "_pages", "blocks", "counted", "verdict")

    def __init__(self, decision: Decision, pages: Pages) -> None:
        self.verdict = verdict_part(decision)
        self.blocks = type(decision.action) is Block
        self.counted = _COUNTED[type(decision.action)]
        self._pages = pages
        self._known = page_values(tx=Transaction(Point.REQMOD), decision=decision, decision_id="", url="")
        self._begun: dict[tuple[bool, ...], BegunPage] = {}

    def answer(self, head: bytes, lower: bytes, values: dict[str, str], now: float) -> Answer:
        """Return the block of a request by GET, HEAD, POST or PUT, `lower` its `head` in small letters.

        `values` are those of the page, "" where there is none; the user agent is read here, if it is asked.
        """
        pages = self._pages
        decision_id = values["decision_id"]
        is_page = not pages.fits or is_page_at_a_glance(lower)
        if is_page and values["method"] != "HEAD" and "user_agent" not in pages.names:
            body = self._page(values, now)
            extra = naming(decision_id)
            return Answer(200, page_head(len(body)), b"res", body, extra=extra)
        request = RequestHead(head)
        tx = Transaction(Point.REQMOD, request=request)
        values["user_agent"] = request.headers.text(b"user-agent") or ""
        reply = blocked_reply(tx, lambda: self._page(values, now), decision_id, fits=pages.fits, close=False)
        return adapted(UseAdapted(*reply, True), decision_id)

    def _page(self, values: dict[str, str], now: float) -> bytes:
        values["date"] = page_date(int(now))
        lacks = tuple([not values[name] for name in _MAY_LACK])
        begun = self._begun.get(lacks)
        if begun is None:
            later = _LATER.difference(name for name in _MAY_LACK if not values[name])
            begun = self._begun[lacks] = self._pages.begun(self._known, later)
        return begun.block(values)


class Hosts(dict[bytes, "Prepared | None"]):
    """For hosts in normal form what is decided of them; None if more counts, or it is not so simple.

    Of one policy and its pages. A full memory is emptied, so a flood of names costs time, not space.
    """

    def __init__(self, policy: Policy, pages: Pages) -> None:
        super().__init__()
        self._policy = policy
        self._pages = pages
        self._prepared: dict[tuple[int, str | None], Prepared] = {}

    def __missing__(self, host: bytes) -> Prepared | None:
        decision = self._policy.of_host(host.decode("ascii"))
        found = None
        if decision is not None and isinstance(decision.action, Allow | Bypass | Block):
            found = self._prepare(decision)
        if len(self) >= MAX_HOSTS:
            self.clear()
        self[host] = found
        return found

    def _prepare(self, decision: Decision) -> Prepared:
        key = (id(decision.rule), decision.category)
        found = self._prepared.get(key)
        if found is None:
            if len(self._prepared) >= MAX_PREPARED:
                self._prepared.clear()
            found = self._prepared[key] = Prepared(decision, self._pages)
        return found
