"""The bench of growth runs and gives every figure at sizes that prove only that; and judges what was promised."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from icapd.errors import IcapdError
from tests.bench import idle
from tests.bench.growth import PARTS

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("cc") is None, reason="not installed: cc (Debian: gcc)")
def test_every_part_gives_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICAPD_BENCH_CACHE", str(tmp_path / "cache"))
    page = tmp_path / "docs" / "page.md"
    command = [sys.executable, "-m", "tests.bench.growth", "--tiny", "--page", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode in {0, 1, 2}, done.stderr
    document = json.loads((page.parent / "page-growth.json").read_text())
    for part in PARTS:
        rows = document.get(part)
        if rows is None:
            assert any(note.startswith(f"{part}: not measured: ") for note in document["notes"])
            assert part == "workers", done.stderr
            continue
        assert len(rows) > (part == "rules")
        for row in rows:
            assert all(value >= 0 for value in row.values())
            assert row["memory MB"] > 1
            assert row["cpu µs"] >= 0
    assert [row["idle"] for row in document["connections"]] == [0, 200]
    text = page.read_text()
    assert "## Growth" in text
    assert "(images/benchmarks-rules.svg)" in text


def test_what_idle_connections_may_cost_is_judged() -> None:
    first = {"kB each": 0.0, "p99 µs": 100.0}
    assert idle.judge([first, {"kB each": 19.9, "p99 µs": 199.0}]) == []
    notes = idle.judge([first, {"kB each": 20.1, "p99 µs": 201.0}])
    assert ["missed" in note for note in notes] == [True, True]


def test_files_beyond_the_systems_limit_are_one_clear_line() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this system has no limit")
    with pytest.raises(IcapdError, match="connections need `ulimit -n "):
        idle.raise_limit(hard + 1)
