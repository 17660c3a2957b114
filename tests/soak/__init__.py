"""icapd under mixed load for a long time: `python -m tests.soak --help`.

No answer may be wrong, no record missing or double, and memory and descriptors may not grow.
"""
