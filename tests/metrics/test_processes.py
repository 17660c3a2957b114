"""Real processes, looked at."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from icapd.metrics.processes import processes, started


def test_named_ones_and_the_rest_below() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = {one.name: one for one in processes({os.getpid(): "main", 2**22 + 1: "gone"}, os.getpid())}
        assert set(found) >= {"main", "children"}
        assert found["main"].memory > 1 << 20
        assert found["main"].fds >= 3
        assert (found["main"].cpu or 0) > 0
        assert found["children"].cpu is None
        named = processes({os.getpid(): "main", child.pid: "worker 0"}, os.getpid())
        assert "worker 0" in {one.name for one in named}
        assert 0 <= time.time() - started(child.pid) < 60  # noqa: TID251  # as the kernel has it
        child.communicate(b"\n")
