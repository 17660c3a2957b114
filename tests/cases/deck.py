"""Runs the conformance deck icap.jsonl against a server, in shards."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
ALL = ("oum", "vh", "e", "c", "p", "aik")  # first letters of the cases' names, a shard each


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case: what is wrong, and the statuses seen (0 closed without an answer, -1 silence)."""

    problems: tuple[str, ...]
    seen: tuple[int, ...]


def run_deck(
    port: int, directory: Path, *arguments: str, shards: tuple[str, ...] = ALL
) -> dict[str, Outcome]:
    """Run the deck against services reqmod and respmod; return the outcome of each case that ran.

    The runner mostly waits for bytes that must not come, so its shards run at the same time.
    """
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(_run_shard, port, directory, letters, arguments) for letters in shards]
        return {case: outcome for shard in running for case, outcome in shard.result().items()}


def failed(outcomes: dict[str, Outcome]) -> dict[str, tuple[str, ...]]:
    """Return the problems of the cases that have any."""
    return {case: outcome.problems for case, outcome in outcomes.items() if outcome.problems}


def _run_shard(port: int, directory: Path, letters: str, arguments: tuple[str, ...]) -> dict[str, Outcome]:
    out = directory / f"deck-{port}-{letters}.json"
    command = [
        sys.executable, str(_HERE / "icap_cases.py"), "--port", str(port),
        "--reqmod", "reqmod", "--respmod", "respmod", "--only", f"^[{letters}]",
        "--cases", str(_HERE / "icap.jsonl"), "--json", str(out), *arguments,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "SCORE" in done.stdout, done.stdout + done.stderr
    return {
        case["id"]: Outcome(tuple(case["problems"]), tuple(case["seen"]))
        for case in json.loads(out.read_text())
        if case["result"] != "skip"
    }
