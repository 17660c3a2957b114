"""The bench runs, sees no error, and gives every figure; how fast anything is is not judged here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.bench.__main__ import GROUPS
from tests.bench.run import HAS_WORKERS
from tests.bench.scenarios import SCENARIOS
from tests.bench.targets import TARGETS

ROOT = Path(__file__).parents[2]
MISSING = [name for name in ("cc", "c-icap") if shutil.which(name) is None]
LOADED = [each.name for each in SCENARIOS if HAS_WORKERS or each.setup != "workers"]
QUICK = ("--tiny", "--seconds", "0.2", "--rounds", "1", "--domains", "2000", "--rules", "20")


def _bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment or None, capture_output=True, text=True, timeout=180, check=False
    )


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (Debian: gcc, c-icap)")
def test_every_scenario_gives_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICAPD_BENCH_CACHE", str(tmp_path / "cache"))
    out, page = tmp_path / "bench.json", tmp_path / "docs" / "page.md"
    names = [*(each.name for each in SCENARIOS), "reload", "commands"]  # "squid": test_bump.py
    done = _bench(*QUICK, "--json", str(out), "--page", str(page), *names)
    assert done.returncode in {0, 1, 2}, done.stderr
    document = json.loads(out.read_text())
    assert [result["scenario"] for result in document["results"]] == LOADED
    for result in document["results"]:
        assert result["title"] in done.stdout
        assert result["faults"] == []
        scenario = next(each for each in SCENARIOS if each.name == result["scenario"])
        assert set(result["samples"]) == set(scenario.services) - set(document["missing"])
        for sample in (each for samples in result["samples"].values() for each in samples):
            assert sample["errors"] == 0
            assert sample["rate"] > 0
            assert 0 < sample["p50"] <= sample["p99"]
            assert sample["memory"] > 1
    assert set(document["commands"]) == {"explain", "check"}
    assert document["reload"]["reloads"][0] > 0
    last = done.stdout.splitlines()[-1]
    for target in TARGETS:
        assert f" {target.name} " in last
    assert set(document["missing"]) <= {"e2guardian", "workers"}
    _is_drawn(page, document["results"])


def _is_drawn(page: Path, results: list[dict[str, str]]) -> None:
    text = page.read_text()
    for result in results:
        assert f"| {result['title']} |" in text
    for target in TARGETS:
        assert f"| {target.name} | {target.title} |" in text
    plots = list((page.parent / "images").glob("*.svg"))
    assert plots
    for plot in plots:
        assert f"(images/{plot.name})" in text
        assert ET.parse(plot).getroot().tag.endswith("svg")


def test_an_unknown_scenario_is_one_clear_line() -> None:
    done = _bench("speed")
    assert done.returncode == 2
    assert "error: no scenario speed; there are reqmod," in done.stderr.splitlines()[-1]
    assert done.stderr.rstrip().endswith(", ".join(GROUPS))


def test_missing_programs_are_one_clear_line(tmp_path: Path) -> None:
    done = _bench("--domains", "10", PATH=str(tmp_path), HOME=str(tmp_path), ICAPD_BENCH_CACHE=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "bench: the load generator needs a C compiler: install gcc\n"
