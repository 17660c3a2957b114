"""`icapd demo` as a user runs it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "icapd", "demo"]
SHM = Path("/dev/shm")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        env=os.environ | environment,
        check=False,
    )


def shared_memory() -> set[str]:
    """Squid's segments of demos: one left behind would be memory lost until the machine restarts."""
    return {path.name for path in SHM.glob("icapddemo*")} if SHM.exists() else set()


@pytest.fixture
def kept() -> Iterator[Path]:
    """A directory that the user Squid becomes can reach, unlike pytest's."""
    path = Path("/tmp", f"icapd-demo-test-{os.getpid()}")
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_once_shows_the_table_and_ends_with_0(kept: Path) -> None:
    before = shared_memory()
    done = run("--once", "--keep-dir", str(kept))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("ok ")]
    assert len(rows) >= 18
    assert not [line for line in done.stdout.splitlines() if line.startswith("NO ")]
    assert "Traceback" not in done.stdout + done.stderr
    assert (kept / "logs" / "decisions.jsonl").exists()
    assert not (kept / "run" / "squid.pid").exists()
    assert shared_memory() == before


def test_it_stays_up_until_sigterm_and_removes_its_directory() -> None:
    with subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        text = ""
        for line in demo.stdout:
            text += line
            if "Ctrl-C" in line:
                break
        [certificate] = set(re.findall(r"--cacert (\S+bump\.crt)", text))
        command = re.search(r"^\s*(curl .*https://blocked\S+)$", text, re.MULTILINE)
        assert command is not None
        page = subprocess.run(command[1], shell=True, capture_output=True, text=True, check=False)
        assert "no gambling" in page.stdout
        assert "chromium" in text
        demo.send_signal(signal.SIGTERM)
        rest, errors = demo.communicate(timeout=30)
    assert demo.returncode == 0
    assert "Traceback" not in rest + errors
    assert not Path(certificate).exists()


@pytest.mark.parametrize("missing", ["squid", "curl"])
def test_a_missing_program_is_one_line(tmp_path: Path, missing: str) -> None:
    (tmp_path / "curl").symlink_to(shutil.which("curl") or "")
    if missing == "curl":
        (tmp_path / "curl").unlink()
        (tmp_path / "squid").symlink_to(shutil.which("squid", path="/usr/sbin:/usr/bin") or "")
    done = run("--once", PATH=str(tmp_path))
    assert done.returncode in (1, 2)
    [line] = done.stderr.splitlines()
    assert missing in line
    assert line.startswith("icapd: ")
