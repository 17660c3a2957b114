"""The package's parts that need no building: manual pages, completions, scripts, what dpkg is told.

deploy/deb/build makes it and deploy/deb/try installs, boots and removes it; both by hand, since they take minutes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from icapd.cli.main import COMMANDS
from icapd.setup import configuration

ROOT = Path(__file__).parents[1]
DEB = ROOT / "deploy" / "deb"
SCRIPTS = sorted((DEB / "debian").glob("p*"))


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]), **more}


@pytest.fixture(scope="module")
def manuals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("manuals")
    subprocess.run([sys.executable, DEB / "manuals.py", out], env=environment(), check=True, timeout=120)
    return out


def test_every_command_has_a_page_with_all_its_parts(manuals: Path) -> None:
    names = {path.stem for path in (manuals / "man1").iterdir()}
    assert {"icapd", "icapd-ca-create", *(f"icapd-{name}" for name in COMMANDS)} <= names
    for path in (manuals / "man1").iterdir():
        text = path.read_text()
        for part in ("NAME", "SYNOPSIS", "DESCRIPTION"):
            assert f"\n.SH {part}\n" in text
        dashed = path.stem.replace("-", "\\-")
        assert f"\n{dashed} \\- " in text, path
    serve = (manuals / "man1" / "icapd-serve.1").read_text()
    assert "\\fB\\-c, \\-\\-config FILE\\fR\n" in serve
    assert "\\fB\\-h, \\-\\-help\\fR\n" in serve


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_man_has_nothing_to_say_of_them(manuals: Path) -> None:
    for path in (manuals / "man1").iterdir():
        command = ["man", "--warnings", "-l", str(path)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment(LANG="C.UTF-8")
        )
        assert (done.returncode, done.stderr) == (0, ""), path


def test_completions_are_of_each_shell_and_bash_s_completes(manuals: Path) -> None:
    folder = manuals / "completion"
    assert sorted(path.name for path in folder.iterdir()) == ["bash", "fish", "zsh"]
    assert (folder / "zsh").read_text().startswith("#compdef icapd\n")
    subprocess.run(["bash", "-n", folder / "bash"], check=True)
    asked = environment(_ICAPD_COMPLETE="bash_complete", COMP_WORDS="icapd ser", COMP_CWORD="1")
    done = subprocess.run(
        [sys.executable, "-m", "icapd"], env=asked, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "plain,serve\n"


COMPLETIONS = {
    "bash": "source {file}; COMP_WORDS=(icapd ca ex); COMP_CWORD=2; _icapd_completion icapd ex ca; echo ${{COMPREPLY[@]}}",
    "fish": "source {file}; complete -C 'icapd ca ex'",
    # as zsh calls it at a Tab, with what shows the choices put out of the way
    "zsh": "compdef() {{ }}; _describe() {{ print -r -- ${{(P)3}} ${{(P)4}} }}; compadd() {{ print -r -- $@ }}; "
    "words=(icapd ca ex); CURRENT=3; source {file}; _icapd_completion",
}


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_each_shell_completes_with_what_the_package_installs(
    manuals: Path, tmp_path: Path, shell: str
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    command = tmp_path / "icapd"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m icapd "$@"\n')
    command.chmod(0o755)
    line = COMPLETIONS[shell].format(file=manuals / "completion" / shell)
    asked = environment(PATH=f"{tmp_path}:{os.environ['PATH']}", HOME=str(tmp_path), TERM="dumb")
    done = subprocess.run(
        [shell, "-c", line], env=asked, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    words = re.split(r"[\s:]+", done.stdout)
    assert "export" in words, (done.stdout, done.stderr)
    assert "create" not in words


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_maintainer_scripts_end_at_the_first_fault(script: Path) -> None:
    assert script.read_text().startswith("#!/bin/sh\nset -e\n")
    assert os.access(script, os.X_OK)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", script], check=True)


def test_dpkg_knows_every_file_of_the_configuration() -> None:
    listed = (DEB / "debian" / "conffiles").read_text().splitlines()
    made = [str(each.path) for each in configuration(Path("/etc/icapd"), "systemd:icap", in_system=True)]
    assert sorted(listed) == sorted([*made, "/etc/logrotate.d/icapd"])


def test_the_package_is_bound_to_the_python_it_was_built_for() -> None:
    control = (DEB / "debian" / "control").read_text()
    assert "python3 (>= 3.11), python3 (<< 3.12)" in control
    assert "readonly python=/usr/bin/python3.11\n" in (DEB / "build").read_text()


@pytest.mark.parametrize("script", ["deploy/deb/build", "deploy/deb/try", "deploy/deb/tutorial"])
def test_what_is_run_by_hand_is_strict_bash_and_clean(script: str) -> None:
    text = (ROOT / script).read_text()
    assert text.startswith("#!/bin/bash\n")
    assert "\nset -euo pipefail\n" in text
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", ROOT / script], check=True)


@pytest.mark.parametrize("script", ["try-inside", "tutorial-inside"])
def test_what_the_booted_system_runs_is_python(script: str) -> None:
    compile((DEB / script).read_text(), script, "exec")


def test_what_lintian_is_told_to_pass_over_has_its_reason() -> None:
    lines = (DEB / "debian" / "overrides").read_text().splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if not line.startswith("#"):
            assert line.startswith("icapd: ")
            assert before.startswith("# ")
