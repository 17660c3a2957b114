"""Every target with few inputs, or with `--deep` many; and that the harness finds what it is there to find."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from tests.fuzz import everything
from tests.fuzz.targets import DEEP, QUICK, TARGETS, Target, run

everything()


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_escapes_and_nothing_costs_too_much(name: str, request: pytest.FixtureRequest) -> None:
    run(TARGETS[name], DEEP if request.config.getoption("--deep") else QUICK)


def _raises(value: bytes) -> None:
    assert b"\xff" not in value


def _hoards(value: bytes) -> None:
    bytearray(3 << 20 | len(value))


@pytest.mark.parametrize("check", [_raises, _hoards])
def test_a_fault_is_found(check: Any) -> None:
    with pytest.raises(AssertionError):
        run(Target("x", st.binary(max_size=9), check), 2000)


def test_what_was_found_once_is_tried_every_time() -> None:
    tried: list[bytes] = []
    run(Target("x", st.binary(max_size=1), tried.append, known=(b"found once",)), 1)
    assert b"found once" in tried
