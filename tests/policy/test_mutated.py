"""Five hundred policies with a fault somewhere: refused with lines or adopted whole, never in between."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

from icapd.data import shared
from icapd.errors import ConfigErrors
from icapd.policy import load_policy
from icapd.policy.explain import explain
from icapd.policy.lint import lint
from icapd.policy.question import Question
from icapd.source import read_document
from tests.policy.linting import locate

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 500
PIECES = [
    "*", "&x", "!!python/object:os.system", "{", "}", "[", "]", ":", "- ", "\t", "\x00", "\ufeff", "é", "'", '"',
    "unless", "when:", "host: []", "regex: ['(a+)+$']", "regex: ['(?<=a)b']", "regex: ['(']", "schedule: {tz: Mars/X}",
    "action: block", "action: {redirect: 'javascript:1'}", "action: {redirect: 'http://{host}/'}", "null", "~",
    "99999999999999999999", "port: 0", "client: [10.0.0.0/33]", "size: ['>1XB']", "list: [nowhere]", "group: ''",
    "workspace_rules", "rules: [{}]", "mode: dark", "enabled: perhaps", "lists: {a: {domains: [/dev/null]}}", "---\n",
    "header: {A: [b, [c]]}", "homograph: ['']", "protection: []", "name: \u202e", "%YAML 9.9\n", "...\n", "<<: {}",
]  # fmt: skip
ASKED = [
    Question("GET", uri, 0.0)
    for uri in ("http://a.example/x.exe", "http://casino.example/", "http://127.1/", "http://[::1]/")
] + [Question("CONNECT", "bank.example:443", 0.0)]


def mutated(text: str, chance: random.Random) -> str:
    """One to three edits: a line lost, doubled, moved or indented; letters swapped; a piece put in."""
    for _ in range(chance.randint(1, 3)):
        lines = text.splitlines(keepends=True) or [""]
        at = chance.randrange(len(lines))
        kind = chance.randrange(7)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, lines[chance.randrange(len(lines))])
        elif kind == 2:
            lines[at] = " " * chance.randint(1, 4) + lines[at]
        elif kind == 3:
            lines[at] = lines[at].lstrip(" ")
        elif kind == 4:
            place = chance.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:place] + chance.choice(PIECES) + lines[at][place:]
        elif kind == 5:
            words = re.findall(r"\w+", lines[at])
            if words:
                lines[at] = lines[at].replace(chance.choice(words), chance.choice(PIECES), 1)
        else:
            cut = chance.randrange(len(text) + 1)
            lines = [text[:cut], text[cut + chance.randint(1, 20) :]]
        text = "".join(lines)
    return text


def is_on(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("enabled", "true").lower() in {
        "true",
        "yes",
        "on",
        "1",
        "t",
        "y",
    }


def rules_in(entries: Any) -> int:
    """How many rules a stage has as it is written, in groups or not, switched off or not."""
    found = 0
    for entry in entries:
        if is_on(entry):
            found += (
                len(list(filter(is_on, entry["rules"])))
                if "rules" in entry
                else "workspace_rules" not in entry
            )
    return found


def check_told(errors: ConfigErrors, text: str) -> None:
    """Each fault is one line, and its line is in the file."""
    assert errors.errors, text
    assert all("\n" not in str(one) for one in errors.errors), text
    assert all(0 <= one.line <= text.count("\n") + 2 for one in errors.errors), text


def test_mutated_policies(tmp_path: Path) -> None:
    chance = random.Random(3)
    rules = tmp_path / "rules"
    (rules / "lists").mkdir(parents=True)
    (rules / "examples").mkdir()
    for file in (shared("rules") / "lists").iterdir():
        (rules / "lists" / file.name).write_bytes(file.read_bytes())
    shipped = [
        (shared("rules") / "examples" / f"{name}.yaml").read_text("utf-8")
        for name in ("school", "company", "guest", "kiosk", "five-rules")
    ]
    path = rules / "examples" / "policy.yaml"
    adopted = refused = 0
    for number in range(COUNT):
        text = mutated(shipped[number % len(shipped)], chance)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            loaded = load_policy(path, cache=tmp_path / "cache")
        except ConfigErrors as errors:
            refused += 1
            check_told(errors, text)
            continue
        adopted += 1
        # Adopted is adopted whole: every rule that is written and not switched off is there.
        value: Any = read_document(path).value
        for stage in ("bypass", "access", "tls"):
            parts = [value, *(one for one in value.get("workspaces", ()) if is_on(one))]
            written = sum(rules_in(part.get(stage, ())) for part in parts)
            assert written == len(getattr(loaded, stage)), text
        lint(loaded, locate)
        for question in ASKED:
            explanation = explain(loaded, question)
            assert explanation.last.tx is not None
            assert loaded.decide(explanation.last.tx).action == explanation.asked[-1].decision.action
    assert adopted > 20
    assert refused > 100
