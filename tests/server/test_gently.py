"""What works beside traffic gives way, and leaves the process as it was."""

from __future__ import annotations

import gc
import sys

import pytest

from icapd.server.gently import SWITCH, gently


def test_it_is_gentle_only_meanwhile() -> None:
    before = sys.getswitchinterval()
    with gently():
        assert sys.getswitchinterval() == pytest.approx(SWITCH)
        assert not gc.isenabled()
    assert sys.getswitchinterval() == before
    assert gc.isenabled()


def test_a_failure_ends_it_too() -> None:
    before = sys.getswitchinterval()
    with pytest.raises(ZeroDivisionError), gently():
        raise ZeroDivisionError
    assert (sys.getswitchinterval(), gc.isenabled()) == (before, True)
