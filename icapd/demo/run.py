"""Ask one request of the scenario and compare what came of it with what was expected."""

from __future__ import annotations

import time
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING

from icapd.demo.client import curl
from icapd.demo.contacts import Accepted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.demo.client import Seen
    from icapd.demo.contacts import Contact
    from icapd.demo.decisions import Record
    from icapd.demo.lab import Lab
    from icapd.demo.scenario import Case

_SETTLE = 0.05  # s left to a connection or decision line that should not come
_PATIENCE = 3.0  # s at most for a decision line that should


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one request; `differences` is empty if all was as expected."""

    case: Case
    url: str
    seen: Seen
    decision: Record | None
    contacts: tuple[Contact, ...]
    differences: tuple[str, ...]

    @property
    def connections(self) -> int:
        """How many TCP connections the origins accepted."""
        return sum(isinstance(contact, Accepted) for contact in self.contacts)


def run_case(case: Case, lab: Lab) -> Result:
    """Send the request of `case` by curl through the lab's Squid. Raises IcapdError if there is no curl."""
    url = lab.fill(case.ask.url)
    contacts_before, decisions_before = lab.contacts.mark(), lab.decisions.mark()
    ask = case.ask
    seen = curl(url, proxy=lab.proxy(ask.port), trust=lab.trust(ask.trust), options=ask.options)
    decision = _decision(case, lab, decisions_before)
    contacts = lab.contacts.since(contacts_before)
    differences = tuple(_differences(case, lab, seen, decision, contacts))
    return Result(case, url, seen, decision, contacts, differences)


def _decision(case: Case, lab: Lab, mark: int) -> Record | None:
    """Return the decision that settled it: the first that is not an allow, else the last on a request."""
    time.sleep(_SETTLE)
    deadline = time.monotonic() + (_PATIENCE if case.outcome.action else 0)
    while True:
        records = [record for record in lab.decisions.since(mark) if record.point == "reqmod"]
        settled = next((record for record in records if record.action != "allow"), None)
        found = settled or (records[-1] if records else None)
        if (found and found.method == case.outcome.method) or time.monotonic() > deadline:
            return found
        time.sleep(_SETTLE)


def _differences(
    case: Case, lab: Lab, seen: Seen, decision: Record | None, contacts: tuple[Contact, ...]
) -> Iterator[str]:
    """Each fact that is not as `case` expects it, in words."""
    want = case.outcome
    facts = (
        ("status", want.status, seen.status),
        ("connection ended", want.ended, seen.exit != 0),
        ("action", want.action, decision.action if decision else None),
        ("method decided on", want.method if want.action else None, decision.method if decision else None),
        ("origin contacted", want.contacted, bool(contacts)),
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
    location = Template(want.location).substitute(lab.origin_ports)
    if not (seen.header("Location") or "").startswith(location):
        yield f"Location: expected {location!r}…, was {seen.header('Location')!r}"
