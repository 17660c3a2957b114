"""The conformance deck icap.jsonl, sent to a real icapd that allows everything: every case of every level."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from icapd.config import Limits
from tests.certificates import make_certificate
from tests.serving import Served, serving

HERE = Path(__file__).parent
SHARDS = ("oum", "vh", "e", "c", "p", "aik")  # first letters of the cases' names


def run_deck(port: int, directory: Path, *arguments: str) -> dict[str, list[str]]:
    """Run the deck against services reqmod and respmod; return the problems of each case that ran.

    The runner mostly waits for bytes that must not come, so its shards run at the same time.
    """
    with ThreadPoolExecutor() as pool:
        shards = [pool.submit(_run_shard, port, directory, letters, arguments) for letters in SHARDS]
        return {case: problems for shard in shards for case, problems in shard.result().items()}


def _run_shard(port: int, directory: Path, letters: str, arguments: tuple[str, ...]) -> dict[str, list[str]]:
    out = directory / f"deck-{letters}.json"
    command = [
        sys.executable, str(HERE / "icap_cases.py"), "--port", str(port),
        "--reqmod", "reqmod", "--respmod", "respmod", "--only", f"^[{letters}]",
        "--cases", str(HERE / "icap.jsonl"), "--json", str(out), *arguments,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "SCORE" in done.stdout, done.stdout + done.stderr
    return {case["id"]: case["problems"] for case in json.loads(out.read_text()) if case["result"] != "skip"}


def _failed(problems: dict[str, list[str]]) -> dict[str, list[str]]:
    return {case: found for case, found in problems.items() if found}


def _is_quiet(served: Served) -> bool:
    return "Traceback" not in served.child.output()


def test_every_case_but_the_slow_ones(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        problems = run_deck(served.icap, tmp_path, "--pid", str(served.pid))
        assert _failed(problems) == {}
        assert len(problems) == 120
        assert _is_quiet(served)


def test_every_case_with_the_slow_ones_at_short_deadlines(tmp_path: Path) -> None:
    """Deadlines of one second, where the defaults are 10 and 30: the two stalled requests end in time."""
    limits = {"head": "1", "body": "1", "linger": "0.5", "drain": "2"}
    with serving(tmp_path, options={"limits": limits}) as served:
        problems = run_deck(served.icap, tmp_path, "--slow", "4")
        assert _failed(problems) == {}
        assert len(problems) == 122


def test_every_case_over_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    options = {
        "listen": ["icaps://127.0.0.1:0"],
        "tls": {"certificate": certificate.name, "key": key.name},
    }
    with serving(tmp_path, options=options) as served:
        problems = run_deck(served.icaps, tmp_path, "--tls")
        assert _failed(problems) == {}
        assert len(problems) > 110
        assert _is_quiet(served)


def test_default_deadlines_are_within_the_decks_wait() -> None:
    """The slow cases are also run by hand with --slow 26 against a default configuration."""
    assert max(Limits().head, Limits().body) < 25
