#!/usr/bin/env python3
"""Run a deck of evasion cases: a policy for each rule, each request through `icapd explain --batch`.

    python tests/cases/run_evasion.py FILE [--icapd PROGRAM] [--keep DIR] [--only REGEX] [-v]

A case is a JSON object a line: {id, rule: {kind, value}, request, expect: block|allow} and optionally

    via              how a block must come about: "rule" (by the case's own rule), "refuse" (the message is
                     ill-formed, whatever the rules), "either"
    also_acceptable  other outcomes that will do: "block", "allow", "rule-rejected" (the policy is refused)
    check            what the answer must not hold: {page_not: [text], header_not: [text]}
    max_ms           how long one answer may take, from the line sent to the line read
    request.content  "infected": the outcome comes from scanning, so a block means "not bypassed"

Nothing of icapd is imported: only its command line is used. Prints each failing id and why, and ends with
`N passed, M failed`; exit status 1 if any failed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Case = dict[str, Any]
Answers = dict[str, dict[str, Any]]

RULE = "the rule of the case"
BLOCKED = frozenset({"block", "redirect", "refuse"})
TARGET = "https://block.example/?u={url}&m={method}&a={user_agent}&h={host}"
_TRIES = 3  # of a timed case: the machine may be busy


# --- A kind of rule as policy syntax -------------------------------------------------------


def when_of(kind: str, value: Any) -> dict[str, Any]:
    """The conditions of the rule, in the policy's own words."""
    text = str(value)
    known: dict[str, dict[str, Any]] = {
        "block-host": {"host": ["=" + text]},
        "bypass-host": {"host": ["=" + text]},
        "allow-only-host": {"host": ["=" + text]},
        "block-domain": {"host": [text]},
        "bypass-domain": {"host": [text]},
        "allow-only-domain": {"host": [text]},
        "allow-only-path": {"url": [text]},
        "block-cidr": {"host": [text]},
        "block-url": {"url": ["=" + text]},
        "block-path": {"url": [text]},
        "bypass-path": {"url": [text]},
        "block-ext": {"file_name": ["*." + text]},
        "block-websocket": {"upgrade": ["websocket"]},
        "block-request-larger": {"direction": ["request"], "size": [f">{text}"]},
        "block-response-larger": {"direction": ["response"], "size": [f">{text}"]},
        "block-client-cidr": {"client": [text]},
        "block-schedule": {"schedule": value},
    }
    if kind in known:
        return known[kind]
    criterion = kind.partition("-")[2].replace("-", "_")  # block-port, block-regex, block-user, …
    return {criterion: value if isinstance(value, dict) else [text]}


def policy_of(rule: dict[str, Any], action: Any = "block") -> dict[str, Any]:
    """The policy of a case's rule; `action` is what its block becomes."""
    kind = rule["kind"]
    if kind == "any":
        return {"access": []}
    one = {"name": RULE, "when": when_of(kind, rule["value"])}
    if kind.startswith("bypass-"):
        return {"bypass": [one]}
    if kind.startswith("allow-only-"):
        return {"access": [{**one, "name": "allowed", "action": "allow"}, {"name": RULE, "action": action}]}
    return {"access": [{**one, "action": action}]}


# --- Asking icapd ------------------------------------------------------------------------


@dataclass(frozen=True)
class Asker:
    """How to start icapd, and a folder for the policies."""

    program: tuple[str, ...]
    folder: Path

    def policy(self, name: str, content: dict[str, Any]) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(content))  # JSON is YAML
        return path

    def command(self, policy: Path, *options: str) -> list[str]:
        return [*self.program, "explain", "-c", str(policy), "--batch", *options]

    def ask(self, policy: Path, cases: list[Case], *options: str) -> Answers:
        """Ask all at once; {"": {error}} where the policy was refused."""
        lines = "".join(f"{line_of(case)}\n" for case in cases)
        done = subprocess.run(
            self.command(policy, *options),
            input=lines.encode(),
            capture_output=True,
            timeout=120,
            check=False,
        )
        if not done.stdout and done.returncode:
            return {"": {"error": done.stderr.decode(errors="replace").strip()[-400:]}}
        return {one["id"]: one for one in map(json.loads, done.stdout.splitlines())}

    def time(self, policy: Path, case: Case) -> float:
        """Milliseconds from a line sent to its answer, the best of some tries; -1 if there was none."""
        command = self.command(policy)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            best = -1.0
            for _ in range(_TRIES + 1):
                begun = time.perf_counter()
                try:
                    running.stdin.write(line_of(case).encode() + b"\n")
                    running.stdin.flush()
                except OSError:
                    return -1
                if not running.stdout.readline():
                    return -1
                took = (time.perf_counter() - begun) * 1000
                best = took if best < 0 or took < best else best
            running.stdin.close()
        return best


def line_of(case: Case) -> str:
    """The case's request as a line for --batch."""
    request = {key: value for key, value in case["request"].items() if key != "content"}
    return json.dumps({**request, "id": case["id"]})


# --- Judging -----------------------------------------------------------------------------


def problems_of(case: Case, answer: dict[str, Any]) -> list[str]:
    """What is wrong with an answer to a case."""
    if "error" in answer:
        return [f"no answer: {answer['error']}"]
    action = answer["action"]
    acceptable = set(case.get("also_acceptable") or ())
    if case["request"].get("content") == "infected":
        if case["expect"] == "allow":
            return [] if action == "bypass" else [f"{action}, not bypass"]
        return ["bypassed, and never scanned"] if action == "bypass" else []
    outcome = "block" if action in BLOCKED else "allow"
    if outcome in acceptable:
        return []
    if outcome != case["expect"]:
        return [f"{outcome} ({action} by {answer['rule'] or answer['reason'] or 'no rule'})"]
    return _how(case, answer) if outcome == "block" else []


def _how(case: Case, answer: dict[str, Any]) -> list[str]:
    via = case.get("via", "either")
    by_rule = answer["rule"] == RULE and answer["action"] != "refuse"
    refused = answer["action"] == "refuse"
    if (via == "rule" and not by_rule) or (via == "refuse" and not refused):
        return [f"blocked, but not by {via}: {answer['action']} ({answer['rule'] or answer['reason']})"]
    return [] if by_rule or refused else [f"blocked by {answer['rule']!r}"]


def leaks_of(check: dict[str, list[str]], answer: dict[str, Any]) -> list[str]:
    """What an answer's page, headers or log line hold though they must not."""
    sent = answer.get("answer")
    if sent is None:
        return ["there is no answer to look at"]
    found = [f"the page holds {text!r}" for text in check.get("page_not", ()) if text in sent["page"]]
    values = [answer.get("location") or "", *(value for _, value in sent["headers"] + sent["icap_headers"])]
    for text in check.get("header_not", ()):
        found += [f"a header holds {text!r}: {value[:60]!r}" for value in values if text in value]
    names = {name.lower() for name, _ in sent["headers"]}
    found += [f"a header {name!r} from nowhere" for name in sorted(names & {"set-cookie", "x", "refresh"})]
    if not sent["log"].rstrip("\n").isprintable() or not sent["log"].isascii():
        found.append(f"the log line holds what is not printable: {sent['log']!r}")
    return found


def run_group(asker: Asker, number: int, cases: list[Case]) -> dict[str, list[str]]:
    """Run the cases of one rule; return each one's problems."""
    rule = cases[0]["rule"]
    policy = asker.policy(f"{number:03}-{rule['kind']}", policy_of(rule))
    checked = [case for case in cases if case.get("check")]
    answers = asker.ask(policy, cases, *(["--answer"] if checked else []))
    if "" in answers:
        refused = answers[""]["error"]
        return {
            case["id"]: []
            if "rule-rejected" in (case.get("also_acceptable") or ())
            else [f"the policy is refused: {refused}"]
            for case in cases
        }
    found = {case["id"]: problems_of(case, answers.get(case["id"], {"error": "none"})) for case in cases}
    if checked:
        other = asker.policy(f"{number:03}-redirect", policy_of(rule, {"redirect": TARGET}))
        redirected = asker.ask(other, checked, "--answer")
        for case in checked:
            for each in (answers, redirected):
                found[case["id"]] += leaks_of(case["check"], each.get(case["id"], {}))
    for case in cases:
        if "max_ms" in case:
            took = asker.time(policy, case)
            if not 0 <= took <= case["max_ms"]:
                found[case["id"]].append(f"took {took:.1f} ms, allowed are {case['max_ms']}")
    return found


def grouped(cases: list[Case]) -> list[list[Case]]:
    """The cases of each rule together, so that icapd is started once for them."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(json.dumps(case["rule"], sort_keys=True), []).append(case)
    return list(groups.values())


def run(asker: Asker, cases: list[Case], jobs: int) -> dict[str, list[str]]:
    """Run all cases, some rules at a time; return each case's problems, in the deck's order."""
    found: dict[str, list[str]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for part in pool.map(lambda each: run_group(asker, *each), enumerate(grouped(cases))):
            found |= part
    return {case["id"]: found[case["id"]] for case in cases}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("deck", type=Path, metavar="FILE")
    parser.add_argument("--icapd", nargs="+", default=[sys.executable, "-m", "icapd"], metavar="PROGRAM")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the policies there and keep them")
    parser.add_argument("--only", default="", metavar="REGEX", help="only cases whose id matches")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args(arguments)
    lines = given.deck.read_text("utf-8").splitlines()
    cases = [case for case in map(json.loads, filter(str.strip, lines)) if re.search(given.only, case["id"])]
    with tempfile.TemporaryDirectory(prefix="evasion-") as folder:
        directory = given.keep or Path(folder)
        directory.mkdir(parents=True, exist_ok=True)
        found = run(Asker(tuple(given.icapd), directory), cases, given.jobs)
    reasons = {case["id"]: case.get("why", "") for case in cases}
    failed = {case: problems for case, problems in found.items() if problems}
    for case, problems in failed.items():
        print(f"{case}: {'; '.join(problems)}  [{reasons[case]}]")
    print(f"{len(found) - len(failed)} passed, {len(failed)} failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
