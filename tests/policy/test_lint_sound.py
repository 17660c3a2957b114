"""What the linter says is never reached is never reached, whatever is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.http import RequestHead
from icapd.policy.lint import lint
from icapd.policy.testfile import read_suite
from icapd.transaction import Client, Point, Transaction
from tests.policy.asking import policy
from tests.policy.linting import locate

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.policy import Policy

VALUES = {
    "host": ["a.test", "=a.test", "w.a.test", "test", "10.0.0.0/8", "10.0.0.1"],
    "url": ["a.test", "*.a.test/x", "https://a.test/x", "=http://a.test/", "http://b.test/?q"],
    "path": ["/x", "/x/y"],
    "method": ["GET", "CONNECT", "POST"],
    "port": ["80", "443", "1-65535", "80-90"],
    "scheme": ["http", "https"],
    "client": ["10.0.0.0/8", "10.1.0.0/16", "10.0.0.1"],
    "user": ["alice", "al*", "bob"],
    "mime": ["video/mp4", "video/*"],
}
ACTIONS = ["allow", "block", '{redirect: "https://b.test/x"}']
NEVER = {"shadowed", "contradicted", "never-matches"}


@st.composite
def conditions(draw: st.DrawFn, smallest: int = 0) -> str:
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=smallest, max_size=2, unique=True))
    parts = []
    for name in names:
        values = draw(st.lists(st.sampled_from(VALUES[name]), min_size=1, max_size=2, unique=True))
        parts.append(f"{name}: {json.dumps(values)}")
    return f"{{{', '.join(parts)}}}"


@st.composite
def policies(draw: st.DrawFn) -> str:
    lines = ["access:"]
    for number in range(draw(st.integers(1, 4))):
        unless = draw(st.lists(conditions(1), max_size=1))
        action = draw(st.sampled_from(ACTIONS))
        lines.append(
            f"  - {{name: r{number}, when: {draw(conditions())}, unless: [{', '.join(unless)}], action: {action}}}"
        )
    for number in range(draw(st.integers(0, 2))):
        lines += ["tls:"] if not number else []
        lines.append(f"  - {{name: t{number}, when: {draw(conditions())}, action: splice}}")
    return "\n".join(lines) + "\n"


@st.composite
def transactions(draw: st.DrawFn) -> Transaction:
    """Requests whose names agree: only for them is a covered rule out of reach in every case."""
    host = draw(st.sampled_from(["a.test", "w.a.test", "b.test", "10.0.0.1", "c.example"]))
    method = draw(st.sampled_from(["GET", "POST", "CONNECT"]))
    port = draw(st.sampled_from([80, 443, 81]))
    scheme = draw(st.sampled_from(["http", "https"]))
    path = draw(st.sampled_from(["/", "/x", "/x/y", "/?q"]))
    target = f"{host}:{port}" if method == "CONNECT" else f"{scheme}://{host}:{port}{path}"
    client = Client(
        draw(st.sampled_from([None, "10.0.0.1", "10.1.2.3", "192.0.2.1"])),
        draw(st.sampled_from([None, "alice", "bob"])),
    )
    head = RequestHead(f"{method} {target} HTTP/1.1\r\n\r\n".encode())
    return Transaction(Point.REQMOD, client, head)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sound")


@given(policies(), st.lists(transactions(), min_size=1, max_size=30))
def test_what_is_never_reached_decides_nothing(folder: Path, text: str, asked: list[Transaction]) -> None:
    loaded: Policy = policy(folder, text)
    found = [one for one in lint(loaded, locate) if one.code in NEVER]
    lines = {one.line for one in found}
    for tx in asked:
        tunnel = tx.request is not None and tx.request.method == "CONNECT"  # none other is asked about TLS
        for rule in (loaded.decide(tx).rule, loaded.decide_tls(tx).rule if tunnel else None):
            assert rule is None or int(rule.source.rpartition(":")[2]) not in lines, (text, rule)


@given(policies())
def test_what_is_shown_is_decided_by_another_rule(folder: Path, text: str) -> None:
    loaded = policy(folder, text)
    for one in lint(loaded, locate):
        if one.proof is not None and one.code in {"shadowed", "contradicted"}:
            point = Point.RESPMOD if one.proof.response is not None else Point.REQMOD
            decided = loaded.decide(one.proof.transaction(point))
            others = (decided.rule, decided.undecided, loaded.decide_tls(one.proof.transaction(point)).rule)
            assert any(
                rule is not None and rule.source.rpartition(":")[2] != str(one.line) for rule in others
            )


def test_shipped_tests_agree_with_the_linter_on_what_is_reached(folder: Path) -> None:
    """Rules that a test file sees deciding are none that the linter calls dead."""
    del folder
    from icapd.data import shared
    from icapd.policy import load_policy
    from icapd.policy.explain import explain

    files = sorted(shared("rules").glob("**/*.test.yaml"))  # type: ignore[attr-defined]
    assert len(files) >= 9
    for file in files:
        suite = read_suite(file, 0.0)
        loaded = load_policy(suite.policy)
        dead = {one.line for one in lint(loaded, locate) if one.code in NEVER}
        for case in suite.cases:
            rule = explain(loaded, case.question).last.decision.rule
            assert rule is None or int(rule.source.rpartition(":")[2]) not in dead
