"""The Twisted server: sockets, deadlines, limits, backpressure, drain. What it answers is decided below it.

`run(config)` serves until SIGTERM or SIGINT and returns the exit status.
"""

from icapd.server.run import run

__all__ = ["run"]
