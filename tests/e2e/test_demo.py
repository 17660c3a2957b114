"""`icapd demo` as a user runs it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from icapd.cli.main import main
from icapd.demo import browser, lab, scenario
from icapd.demo.browser import browser_programs

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


def shared_memory(directory: Path) -> list[str]:
    """Squid's segments of this demo: one left behind would be memory lost until the machine restarts."""
    [port] = re.findall(r"^listen: .*127.0.0.1:(\d+)", (directory / "icapd.yaml").read_text(), re.MULTILINE)
    return [path.name for path in SHM.glob(f"icapddemo{port}*")]


@pytest.fixture
def kept() -> Iterator[Path]:
    """A directory that the user Squid becomes can reach, unlike pytest's."""
    path = Path("/tmp", f"icapd-demo-test-{os.getpid()}")
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_once_shows_the_table_and_ends_with_0(kept: Path) -> None:
    done = run("--once", "--keep-dir", str(kept))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("ok ")]
    assert len(rows) >= 18
    assert not [line for line in done.stdout.splitlines() if line.startswith("NO ")]
    assert "Traceback" not in done.stdout + done.stderr
    assert (kept / "logs" / "decisions.jsonl").exists()
    assert not (kept / "run" / "squid.pid").exists()
    assert shared_memory(kept) == []
    if browser_programs() is not None:
        assert f"ok  CONNECT denied, in Chromium: {kept}/page.png" in done.stdout
        assert (kept / "page.png").read_bytes().startswith(b"\x89PNG")


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
    for picture in re.findall(r"in Chromium: (\S+\.png)$", text, re.MULTILINE):
        Path(picture).unlink()  # outlives the demo, for people to look at


@pytest.mark.parametrize("missing", ["squid", "curl"])
def test_a_missing_program_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    (tmp_path / ("curl" if missing == "squid" else "squid")).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(lab, "_SBIN", ())
    assert main(["demo", "--once"]) in (1, 2)
    captured = capsys.readouterr()
    [line] = captured.err.splitlines()
    assert missing in line.lower()
    assert line.startswith("icapd: ")
    assert captured.out == ""


def test_a_directory_in_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").touch()
    assert main(["demo", "--once", "--keep-dir", str(tmp_path)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "not empty" in line
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_outcome_that_is_not_as_expected_is_told_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo can fail: expect the blocked site to be allowed."""
    [allowed, blocked] = scenario.CASES[:2]
    wrong = replace(blocked, outcome=replace(allowed.outcome, rule="another rule", location="http://x/"))
    monkeypatch.setattr(scenario, "CASES", (allowed, wrong))
    monkeypatch.setattr(browser, "browser_programs", lambda: None)
    assert main(["demo", "--once"]) == 1
    text = capsys.readouterr().out
    assert "chromium or certutil (libnss3-tools) is not installed" in text
    [logs] = re.findall(r"^Not as expected: blocked\. The logs are in (\S+)/logs$", text, re.MULTILINE)
    shutil.rmtree(logs)
    assert re.findall(r"^    - (.*?):", text, re.MULTILINE) == [
        "status", "action", "origin contacted", "rule", "page", "Location",
    ]  # fmt: skip


def test_a_squid_that_gives_up_says_why_and_leaves_its_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = replace(scenario.PLAN, squid_lines="access_log stdio:/nonexistent/access.log\n")
    monkeypatch.setattr(scenario, "PLAN", plan)
    assert main(["demo", "--once"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    found = re.fullmatch(r"icapd: squid: (.*nonexistent.*) \(log: (\S+)\)", line)
    assert found is not None, line
    log = Path(found[2])
    assert "FATAL" in log.read_text()
    shutil.rmtree(log.parents[1])
