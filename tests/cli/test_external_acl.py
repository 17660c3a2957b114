"""`icapd helper` as Squid runs it: lines in, lines out, until its input ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(directory: Path, text: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "icapd", "helper", "-c", str(directory / "icapd.yaml")]
    return subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )


def test_a_line_for_a_line(tmp_path: Path) -> None:
    (tmp_path / "icapd.yaml").write_text("listen: [icap://127.0.0.1:0]\npolicy: policy.yaml\n")
    (tmp_path / "policy.yaml").write_text("tls: [{name: b, when: {host: [bank.test]}, action: splice}]\n")
    done = run(
        tmp_path, "0 10.1.1.1 192.0.2.1 443 443 - 1\n7 10.1.1.1 192.0.2.1 443 443 bank.test 2\nnonsense\n"
    )
    assert done.stdout == "0 OK icapd_step1=peek\n7 OK icapd_step2=splice\n0 BH message=not-a-question\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_policy_it_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "icapd.yaml").write_text("listen: [icap://127.0.0.1:0]\npolicy: policy.yaml\n")
    done = run(tmp_path, "")
    assert done.returncode == 2
    assert "policy.yaml" in done.stderr


def test_it_needs_no_reactor() -> None:
    code = "import sys, icapd.cli.external_acl; print('twisted' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "False\n"
