"""The table of faults is whole: each has its tests, which exist and are collected, and its line for administrators."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.table import FAULTS, Fault

ROOT = Path(__file__).parents[2]


def test_all_faults_are_numbered() -> None:
    assert [fault.number for fault in FAULTS] == list(range(1, 27))
    assert all(fault.tests for fault in FAULTS)


def test_every_test_is_collected() -> None:
    named = {f"tests/{test}" for fault in FAULTS for test in fault.tests}
    files = sorted({name.partition("::")[0] for name in named})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    collected = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert named <= collected, named - collected


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.number))
def test_every_fault_is_told_to_administrators(fault: Fault) -> None:
    text = (ROOT / "docs" / "faults.md").read_text()
    [row] = re.findall(rf"^\| {fault.number} \|.*$", text, re.MULTILINE)
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert len(cells) == 5
    assert all(cells[:3])
    assert any(cells[3:])
