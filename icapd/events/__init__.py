"""One record per transaction: what was decided, by which rule, for whom."""

from icapd.events.decisions import ALLOWED, DecisionLog, decision_line, record_line

__all__ = ["ALLOWED", "DecisionLog", "decision_line", "record_line"]
