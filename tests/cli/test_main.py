import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

import icapd
from icapd.cli import main as cli
from icapd.errors import ConfigError, ConfigErrors, IcapdError

ROOT = Path(__file__).parents[2]


def run(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "icapd", *map(str, arguments)]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=60, check=False, env=environment
    )


def failing_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    @click.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli._Commands, "get_command", lambda *_: fail)
    return cli.main(["check"])


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (IcapdError("no CA\nno key"), 1, "icapd: no CA\nicapd: no key\n"),
        (
            ConfigErrors([ConfigError("b", 2, "y"), ConfigError("a", 1, "x")]),
            2,
            "icapd: a:1: x\nicapd: b:2: y\n",
        ),
        (PermissionError(13, "Permission denied", "/x"), 1, "icapd: /x: Permission denied\n"),
        (KeyboardInterrupt(), 130, "\n"),
    ],
)
def test_what_a_user_can_mend_is_told_in_lines(
    error: BaseException,
    status: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert failing_with(error, monkeypatch) == status
    assert capsys.readouterr() == ("", text)


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        failing_with(ZeroDivisionError(), monkeypatch)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "icapd: Missing command (see `icapd --help`)"),
        (("ca",), "icapd: Missing command (see `icapd ca --help`)"),
        (("serv",), r"icapd: No such command 'serv'.* \(see `icapd --help`\)"),
        (("check", "--colour"), r"icapd: No such option '?--colour'?.* \(see `icapd check --help`\)"),
        (("check", "-c"), "icapd: Option '-c' requires an argument"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(
    arguments: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"{line}\n" or re.fullmatch(f"{line}\n", err)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"icapd {icapd.__version__}\n"
    assert cli.main(["-h"]) == 0
    out = capsys.readouterr().out
    for name in cli.COMMANDS:
        assert re.search(rf"^  {name} +\w", out, re.MULTILINE), name


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_is_there_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module, _, attribute = cli.COMMANDS[name].partition(":")
    assert isinstance(getattr(import_module(module), attribute), click.Command)
    assert cli.main([name, "--help"]) == 0
    assert f"Usage: icapd {name}" in capsys.readouterr().out


def test_python_m_icapd() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"icapd {icapd.__version__}\n")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    done = subprocess.run(
        f"{sys.executable} -m icapd --help | true; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode in {0, 1}
