"""What a report tells beside its figures, and rules of a policy that decided nothing in its period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.reports.words import moment

if TYPE_CHECKING:
    from icapd.events.report import Report
    from icapd.policy import Policy


_SHOWN = 6  # policies that began, the last ones


@dataclass(frozen=True, slots=True)
class Idle:
    """A rule that decided nothing, nor would have in shadow mode."""

    stage: str
    name: str
    source: str
    shadow: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """What is beside the figures: where they are of, when they were made, rules that decided nothing, notes.

    `idle` None: the present policy could not be read, which a note tells. `users` and `clients` are what
    their lists show, if not names and addresses.
    """

    place: str
    made: float
    idle: tuple[Idle, ...] | None
    notes: tuple[str, ...] = ()
    users: str = ""
    clients: str = ""


def idle_rules(policy: Policy, report: Report) -> tuple[Idle, ...]:
    """Return the rules of `policy` that no record of the period names, in their order.

    Records name rules, and in which stage; a rule that was renamed within the period counts from then on.
    """
    seen = {(one.stage, one.name) for one in report.rules}
    rules = (*policy.bypass, *policy.access, *policy.protection.rules, *policy.tls)
    return tuple(
        Idle(rule.stage, rule.name, rule.source, rule.shadow)
        for rule in rules
        if (rule.stage, rule.name) not in seen and ("", rule.name) not in seen
    )


def policies_begun(report: Report) -> str:
    """Say which policies began to be served in the period, and when."""
    begun = [
        f"{digest[:16]} ({moment(time, report.period.shift, '%d %b %H:%M')})"
        for time, digest in report.policies[-_SHOWN:]
    ]
    more = len(report.policies) - len(begun)
    return f"Policies that began: {f'{more} others, ' if more else ''}{', '.join(begun)}."
