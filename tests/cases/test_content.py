"""The whole deck of message bodies through a running icapd: with clamd and YARA, and with either alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cases import run_content as runner
from tests.clam import CLAMD

HERE = Path(__file__).parent
CASE: dict[str, Any] = {"id": "x", "expect": "infected"}
PAGE = runner.Answer(200, b"HTTP/1.1 403 Forbidden\r\n\r\n", b"page")
UNCHANGED = runner.Answer(204, b"", None)


@pytest.mark.skipif(CLAMD is None, reason="clamd is not installed (Debian: clamav-daemon)")
@pytest.mark.parametrize("without", [(), ("--without", "clamd"), ("--without", "yara")])
def test_the_deck(without: tuple[str, ...]) -> None:
    pytest.importorskip("yara")
    command = [sys.executable, str(HERE / "run_content.py"), str(HERE / "content.zip"), *without]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=HERE.parents[1]
    )
    assert done.stdout.splitlines()[-1:] == ["101 passed, 0 failed"], done.stdout + done.stderr
    assert done.returncode == 0


def line(*findings: tuple[str, str]) -> dict[str, Any]:
    return {"findings": [{"kind": kind, "threat": threat} for kind, threat in findings]}


@pytest.mark.parametrize(
    ("case", "answer", "decided", "problem"),
    [
        ({}, PAGE, line(("malware", "EICAR")), ""),
        ({}, PAGE, line(("encrypted", "zip"), ("malware", "EICAR")), ""),
        ({}, PAGE, line(("macro", "VBA")), "macro, not infected (macro 'VBA')"),
        ({"also_acceptable": ["macro"]}, PAGE, line(("macro", "VBA")), ""),
        ({"expect": "corrupt"}, PAGE, line(("unscannable", "broken")), ""),
        ({"expect": "type:text/html"}, PAGE, line(("type_mismatch", "type:text/html")), ""),
        (
            {"expect": "type:text/html"},
            PAGE,
            line(("type_mismatch", "type:image/png")),
            "type:image/png, not",
        ),
        ({}, UNCHANGED, line(("malware", "EICAR")), "found infected, and let through"),
        ({"expect": "clean"}, UNCHANGED, line(), ""),
        ({"expect": "clean"}, PAGE, line(), "found clean, and blocked"),
        (
            {"expect": "clean"},
            runner.Answer(200, b"HTTP/1.1 200 OK\r\n\r\n", b"dat"),
            line(),
            "not what went",
        ),
        ({"expect": "clean"}, UNCHANGED, {"unscanned": ["clamd"]}, "unscannable, not clean"),
        ({}, runner.Answer(200, b"HTTP/1.1 200 OK\r\n\r\n", b"da", cut=True), line(("malware", "E")), ""),
        ({}, UNCHANGED, None, "no decision was recorded"),
    ],
)
def test_the_runner_sees_what_is_wrong(
    case: dict[str, Any], answer: runner.Answer, decided: dict[str, Any] | None, problem: str
) -> None:
    problems = "; ".join(runner.problems_of({**CASE, **case}, b"data", answer, decided))
    assert problem in problems
    assert bool(problems) is bool(problem)
