"""Only what is ours and abandoned is swept."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from icapd.server.sweeping import ABANDONED, sweep
from tests.server.test_shares import loaded

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_a_killed_process_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    bodies, items = tmp_path / "bodies", tmp_path / "items"
    bodies.mkdir()
    items.mkdir()
    config = loaded(tmp_path, spool={"directory": "bodies"}, content={"directory": "items"})
    old = time.time() - ABANDONED - 1  # noqa: TID251  # as files' times are
    for directory, name in ((bodies, "icapd-body-1"), (items, "icapd-item-1"), (items, "others")):
        (directory / name).write_text("x")
        os.utime(directory / name, (old, old))
    (items / "icapd-item-new").write_text("x")
    assert sweep(config) == 2
    assert sorted(path.name for path in items.iterdir()) == ["icapd-item-new", "others"]
    assert list(bodies.iterdir()) == []
    assert sweep(config) == 0
