"""The scripts: clean by shellcheck where it is, and one clear line where they cannot go on."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ["deploy/prepare", "deploy/demo", "tests/run", ".ci/run"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_strict_bash_and_can_be_run(script: str) -> None:
    text = (ROOT / script).read_text()
    assert text.startswith("#!/bin/bash\n")
    assert "\nset -euo pipefail\n" in text
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / script], check=True)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(["shellcheck", *SCRIPTS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == ""


def prepare(path: Path, *arguments: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        ["/bin/bash", ROOT / "deploy" / "prepare", *arguments],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr.splitlines()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH of an unprivileged user with next to nothing on it."""
    for name in ("dirname", "grep", "tr"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    return tmp_path


def test_an_unknown_purpose(bare: Path) -> None:
    assert prepare(bare, "cake") == (1, ["prepare: usage: deploy/prepare [demo|tests]"])


def test_without_apt_it_says_what_is_missing(bare: Path) -> None:
    status, lines = prepare(bare, "demo")
    assert status == 1
    assert len(lines) == 1
    assert lines[0].startswith("prepare: missing here: ")
    assert "curl" in lines[0]


def test_without_root_it_says_what_to_run(bare: Path) -> None:
    (bare / "apt-get").symlink_to("/bin/false")
    status, lines = prepare(bare, "demo")
    assert status == 1
    assert len(lines) == 1
    assert lines[0].startswith("prepare: run this as root first: apt-get install ")
