"""The deck that more_content.py makes, through a running icapd with YARA, and with clamd beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases import more_content

ROOT = Path(__file__).parents[2]
LEAST = 280  # cases, where neither 7z nor bsdtar is there


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_second_deck(tmp_path: Path) -> None:
    pytest.importorskip("yara")
    count = more_content.write(tmp_path)
    assert count >= LEAST
    command = [sys.executable, "tests/cases/run_content.py", str(tmp_path), "--without", "clamd"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert done.stdout.splitlines()[-1:] == [f"{count} passed, 0 failed"], done.stdout + done.stderr
    assert done.returncode == 0
