"""One record per transaction: what was decided, by which rule, for whom."""

from icapd.events.decisions import (
    ALLOWED,
    asker_part,
    decision_line,
    plain_line,
    record_line,
    verdict_part,
)
from icapd.events.log import DecisionLog, Log, policy_line
from icapd.events.tunnels import ticket_line, with_tunnel

__all__ = [
    "ALLOWED",
    "DecisionLog",
    "Log",
    "asker_part",
    "decision_line",
    "plain_line",
    "policy_line",
    "record_line",
    "ticket_line",
    "verdict_part",
    "with_tunnel",
]
