"""Ask one request of the scenario and compare what came of it with what was expected."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.demo.exchange import Exchange, Fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.demo.decisions import Record
    from icapd.demo.lab import Lab
    from icapd.demo.scenario import Case


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one request; `differences` is empty if all was as expected."""

    case: Case
    exchange: Exchange
    decision: Record | None
    differences: tuple[str, ...]


def run_case(case: Case, lab: Lab) -> Result:
    """Send the request of `case` by curl through the lab's Squid. Raises IcapdError if there is no curl."""
    ask = case.ask
    exchange = Fetch(lab)(ask.url, *ask.options, port=ask.port, trust=ask.trust)
    decision = _settled(case, exchange)
    return Result(case, exchange, decision, tuple(_differences(case, exchange, decision)))


def _settled(case: Case, exchange: Exchange) -> Record | None:
    """Return the decision that settled it: the first that is not an allow, else the last on a request."""
    if case.outcome.action is None:
        records = exchange.records()
    else:
        with contextlib.suppress(LookupError):
            exchange.record(method=case.outcome.method)
        records = exchange.logged()
    return next((record for record in records if record.action != "allow"), records[-1] if records else None)


def _differences(case: Case, exchange: Exchange, decision: Record | None) -> Iterator[str]:
    """Each fact that is not as `case` expects it, in words."""
    want, seen = case.outcome, exchange.seen
    facts = (
        ("status", want.status, seen.status),
        ("connection ended", want.ended, seen.exit != 0),
        ("action", want.action, decision.action if decision else None),
        ("method decided on", want.method if want.action else None, decision.method if decision else None),
        ("origin contacted", want.contacted, bool(exchange.contacts)),
    )
    for name, expected, got in facts:
        if expected != got:
            yield f"{name}: expected {expected}, was {got}"
    if want.rule and (decision is None or decision.rule != want.rule):
        yield f"rule: expected {want.rule!r}, was {decision.rule if decision else None!r}"
    if want.shows not in seen.text:
        yield f"page: {want.shows!r} is not in it"
    if want.action == "block" and not want.ended and (decision is None or decision.id not in seen.text):
        yield "page: the decision id is not in it"
    location = exchange.lab.site.fill(want.location)
    if not seen.header("Location").startswith(location):
        yield f"Location: expected {location!r} to begin it, was {seen.header('Location')!r}"
