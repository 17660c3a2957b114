"""A soak of a quarter of a minute: that it works, and that its sums add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.soak.clients import KINDS
from tests.soak.run import soak

if TYPE_CHECKING:
    from pathlib import Path


def test_a_short_soak(tmp_path: Path) -> None:
    """Memory is not judged: icapd is not warm before its caches are full."""
    result = soak(tmp_path, 6.0, clients=6)
    assert [fault for fault in result.faults() if "memory grew" not in fault] == []
    assert result.reloads == 1
    assert set(result.counts) >= set(KINDS) - {"slow"}
    print(result.figures())
