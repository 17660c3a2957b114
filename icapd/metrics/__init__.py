"""What a running icapd counts, and how that is told: the words counted in, the metrics, their texts.

Pure: numbers and facts in, text out; the server counts, gathers and answers. Nothing here is per rule, user,
host or client: those are not bounded, and the event store has them.
"""
