"""All wrong values are told, not the first alone."""

from __future__ import annotations

import pytest

from icapd.policy.faults import Faults, each


def test_every_value_is_read_and_every_fault_told() -> None:
    assert each(("1", "2"), int) == [1, 2]
    with pytest.raises(Faults) as caught:
        each(("x", "1", "y"), int)
    assert [index for index, _ in caught.value.faults] == [0, 2]
