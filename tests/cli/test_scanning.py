"""`icapd check` asks the adapters, and finds scanning that comes to nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from icapd.cli.main import main
from icapd.verdicts import Kind
from tests.clam import CLAMD, clam_running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clam import Clam

ROOT = Path(__file__).parents[2]
SMALLEST = 'listen: ["icap://127.0.0.1:0"]\npolicy: policy.yaml\n'
SKIP_ALL = ", ".join(f"{kind}: skip" for kind in Kind)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text("access: []\n")
    (tmp_path / "one.yar").write_text('rule one { strings: $a = "EVIL" condition: $a }\n')
    (tmp_path / "bad.txt").write_text("bad.example\n")
    return tmp_path


def checked(folder: Path, options: str, policy: str = "access: []\n") -> tuple[str, list[str]]:
    """What it prints of adapters, and the codes of its findings."""
    (folder / "icapd.yaml").write_text(SMALLEST + options)
    (folder / "policy.yaml").write_text(policy)
    done = subprocess.run(
        [sys.executable, "-m", "icapd", "check", "--no-squid", "-c", str(folder / "icapd.yaml"), "--json"],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip
    out: dict[str, Any] = json.loads(done.stdout)
    told = "; ".join(str(one["said"] or one["fault"]) for one in out["adapters"])
    return told, [one["code"] for one in out["findings"] if one["code"] != "setup"]


class Apart:
    """The same without a process for each."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys

    def __call__(self, options: str, policy: str) -> list[str]:
        (self._folder / "icapd.yaml").write_text(SMALLEST + options)
        (self._folder / "policy.yaml").write_text(policy)
        main(["check", "--no-squid", "-c", str(self._folder / "icapd.yaml"), "--json"])
        found = json.loads(self._capsys.readouterr().out)["findings"]
        return [f"{one['line']} {one['code']}" for one in found if one["code"] != "setup"]


@pytest.fixture
def codes(folder: Path, capsys: pytest.CaptureFixture[str]) -> Apart:
    return Apart(folder, capsys)


@pytest.fixture(scope="module")
def clam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clam]:
    with clam_running(tmp_path_factory.mktemp("clam"), AlertExceedsMax="") as clam:
        yield clam


def test_an_adapter_says_what_it_has(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("yara")
    (folder / "icapd.yaml").write_text(SMALLEST + "adapters: [yara: {rules: [one.yar]}]\n")
    main(["check", "--no-squid", "-c", str(folder / "icapd.yaml")])
    assert "# adapter yara: yara, on_error closed: 1 rules of 1 files\n" in capsys.readouterr().out


def test_a_clamd_that_is_not_there_is_a_warning_with_its_cure(folder: Path) -> None:
    told, found = checked(folder, "adapters: [{clamd: {socket: none.sock, on_error: open}}]\n")
    assert found == ["adapter"]
    assert told.startswith("clamd cannot be reached: No such file or directory (")
    assert "see that clamav-daemon runs" in told


@pytest.mark.skipif(CLAMD is None, reason="needs clamd")
def test_a_clamd_that_hides_its_limits_is_a_warning(folder: Path, clam: Clam) -> None:
    told, found = checked(folder, f"adapters: [{{clamd: {{socket: {clam.socket}}}}}]\n")
    assert found == ["adapter"]
    assert told.startswith("clamd (ClamAV ")
    assert told.endswith("set `AlertExceedsMax yes` in clamd.conf")


@pytest.mark.skipif(CLAMD is None, reason="needs clamd")
def test_a_clamd_that_is_well_is_told(folder: Path, tmp_path: Path) -> None:
    with clam_running(tmp_path / "d") as clam:
        told, found = checked(folder, f"adapters: [{{clamd: {{tcp: '127.0.0.1:{clam.port}'}}}}]\n")
    assert found == []
    assert told.startswith("ClamAV ")
    assert told.endswith(f" at 127.0.0.1:{clam.port}, alerts at its limits")


RULE = "protection:\n  - {name: x, scan: {%s}}\n"


@pytest.mark.parametrize(
    ("options", "policy", "found"),
    [
        ("", "access: []\n", []),
        ("", f"access: []\n{RULE % 'macro: skip'}", ["3 no-scanner"]),
        ("", "access: []\ndefault_protection: {macro: skip}\n", ["2 no-scanner"]),
        (
            "",
            f"lists: {{bad: {{domains: [bad.txt], threat: phishing}}}}\n{RULE % 'macro: skip'}",
            [],
        ),
        ("adapters: [yara: {rules: [one.yar]}]\n", f"default_protection: {{{SKIP_ALL}}}\n", ["3 blocks-nothing"]),
        (
            "adapters: [yara: {rules: [one.yar]}]\n",
            f"default_protection: {{{SKIP_ALL}}}\n{RULE % 'malware: block'}",
            [],
        ),
        ("adapters: [yara: {rules: [one.yar]}]\n", RULE % "macro: skip", []),
    ],
)  # fmt: skip
def test_scanning_that_comes_to_nothing(codes: Apart, options: str, policy: str, found: list[str]) -> None:
    if options:
        pytest.importorskip("yara")
    assert codes(options, policy) == found


@pytest.mark.parametrize("mode", ["forward", "intercept", "tproxy"])
def test_names_that_are_compared_where_there_are_none(codes: Apart, mode: str) -> None:
    options = f"squid: {{ports: [{{address: '3128'}}, {{address: '3130', mode: {mode}, bump: true}}]}}\n"
    policy = "tls:\n  - {name: n, when: {host: [a.example]}, action: splice_if_sni_matches}\n"
    found = codes(options, policy)
    assert found == ([] if mode == "forward" else ["2 nothing-to-compare"])
