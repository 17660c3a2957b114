"""Work in a thread beside traffic that is not to notice it.

A thread of Python that computes lets another one have its turn only after the switch interval, 5 ms, and one
that serves asks for its turn after each call of the kernel: three times a request.
"""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SWITCH = 20e-6  # s


@contextmanager
def gently() -> Iterator[None]:
    """Give way at once meanwhile, and collect no garbage: what is made here stays, and is many objects.

    One at a time in a process: both are the process's.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        sys.setswitchinterval(interval)
