"""One record per transaction: what was decided, by which rule, for whom."""

from icapd.events.decisions import DecisionLog, decision_line

__all__ = ["DecisionLog", "decision_line"]
