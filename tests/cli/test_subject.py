"""`-c` takes an icapd.yaml or a policy, told apart by what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.cli.subject import is_policy, open_subject
from icapd.errors import ConfigErrors
from icapd.policy import Block
from icapd.policy.explain import explain
from icapd.policy.question import Question

if TYPE_CHECKING:
    from pathlib import Path

POLICY = 'access: [{name: m, when: {host: [a.test]}, action: {redirect: "https://b.test/?u={url}"}}]\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("access: []\n", True),
        ("tls: []\nlists: {}\n", True),
        ("workspaces: []\n", True),
        ("listen: [icap://a]\npolicy: p\n", False),
        ("policy: p\naccess: []\n", False),
        ("acces: []\n", False),
        ("- access\n", False),
    ],
)
def test_told_apart(tmp_path: Path, text: str, told: bool) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert is_policy(tmp_path / "x.yaml") is told


@pytest.mark.parametrize("bump", [True, False])
def test_locations_come_from_the_answer_itself(tmp_path: Path, bump: bool) -> None:
    (tmp_path / "p.yaml").write_text(POLICY)
    (tmp_path / "i.yaml").write_text(
        f"listen: [icap://127.0.0.1]\npolicy: p.yaml\nsquid:\n  ports: [{{address: '3128', bump: {str(bump).lower()}}}]\n"
    )
    subject = open_subject(tmp_path / "i.yaml")
    assert subject.bumps is bump
    for question, location in (
        (Question("GET", "http://a.test/x", 0.0), "https://b.test/?u=http%3A%2F%2Fa.test%2Fx"),
        (Question("HEAD", "http://a.test/x", 0.0), "https://b.test/?u=http%3A%2F%2Fa.test%2Fx"),
        (Question("CONNECT", "a.test:443", 0.0), "https://b.test/?u=https%3A%2F%2Fa.test%2F"),
        (Question("GET", "http://c.test/", 0.0), None),
        (Question("GET", "http://a b/", 0.0), None),
    ):
        assert subject.location(explain(subject.policy, question).last) == location


def test_faults_of_either(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("access: [{action: blok}]\n")
    (tmp_path / "i.yaml").write_text("listen: [icap://127.0.0.1]\npolicy: p.yaml\n")
    for name in ("p.yaml", "i.yaml"):
        with pytest.raises(ConfigErrors, match=r"p\.yaml:1: "):
            open_subject(tmp_path / name)
    with pytest.raises(ConfigErrors, match="cannot be read"):
        open_subject(tmp_path / "none.yaml")


def test_lists_of_threats_are_asked_as_the_server_asks_them(tmp_path: Path) -> None:
    (tmp_path / "urls").write_text("bad.example/x\n")
    (tmp_path / "names").write_text("hosts.example\n")
    rules = tmp_path / "policy.yaml"
    rules.write_text("lists: {phish: {urls: urls, domains: names, threat: phishing}}\n")
    subject = open_subject(rules)
    for method, uri, blocked in (
        ("GET", "http://bad.example/x/y", True),
        ("GET", "http://bad.example/", False),
        ("CONNECT", "hosts.example:443", True),
    ):
        decision = subject.explain(Question(method, uri, 0.0)).last.decision
        assert isinstance(decision.action, Block) is blocked
        assert decision.stage == ("default_protection" if blocked else "default")
