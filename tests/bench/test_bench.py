"""The bench runs, sees no error, and gives every figure; how fast anything is is not judged here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
MISSING = [name for name in ("cc", "c-icap") if shutil.which(name) is None]


def _bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment or None, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (Debian: gcc, c-icap)")
def test_every_scenario_gives_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICAPD_BENCH_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "bench.json"
    short = ("--seconds", "0.2", "--rounds", "1", "--domains", "2000", "--rules", "20")
    done = _bench(*short, "--json", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(out.read_text())
    assert [result["scenario"] for result in document["results"]] == [each.name for each in SCENARIOS]
    for result in document["results"]:
        assert result["title"] in done.stdout
        assert result["faults"] == []
        assert set(result["samples"]) == {"icapd", "c-icap"}
        for sample in (each for samples in result["samples"].values() for each in samples):
            assert sample["errors"] == 0
            assert sample["rate"] > 0
            assert 0 < sample["p50"] <= sample["p99"]
            assert sample["memory"] > 1


def test_an_unknown_scenario_is_one_clear_line() -> None:
    done = _bench("speed")
    assert done.returncode == 2
    assert "error: no scenario speed; there are reqmod," in done.stderr.splitlines()[-1]


def test_missing_programs_are_one_clear_line(tmp_path: Path) -> None:
    done = _bench("--domains", "10", PATH=str(tmp_path), HOME=str(tmp_path), ICAPD_BENCH_CACHE=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "bench: the load generator needs a C compiler: install gcc\n"
