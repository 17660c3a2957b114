"""Text for a terminal: short, and nothing in it that a terminal would act upon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.cli.subject import open_subject
from icapd.cli.trace import MAX_STEPS, as_text
from icapd.policy.explain import explain
from icapd.policy.question import Answered, Question

if TYPE_CHECKING:
    from pathlib import Path


def text_of(folder: Path, policy: str, question: Question, *, whole: bool = False) -> str:
    (folder / "p.yaml").write_text(policy)
    subject = open_subject(folder / "p.yaml")
    return as_text(explain(subject.policy, question), subject, whole=whole).replace(str(folder), "DIR")


def test_both_points_of_a_response(tmp_path: Path) -> None:
    policy = "access: [{name: v, when: {mime: ['video/*']}, action: block}]\n"
    question = Question("GET", "http://a/", 0.0, response=Answered(headers=(("Content-Type", "video/mp4"),)))
    assert text_of(tmp_path, policy, question) == (
        "BLOCK  GET http://a/\n"
        "  rule       v (access, DIR/p.yaml:1)\n"
        "  user gets  the block page (403); the request has reached the server\n"
        "\n"
        "asked for the request (REQMOD):\n"
        "  unknown  access: v (DIR/p.yaml:1)\n"
        "           unknown  mime video/*; is not known\n"
        "\n"
        "asked for the response (RESPMOD):\n"
        "  yes      access: v (DIR/p.yaml:1)\n"
        "           yes      mime video/*; is video/mp4"
    )


def test_a_connect_that_ends_it_before_is_told(tmp_path: Path) -> None:
    policy = (
        "access:\n  - {name: bad, when: {host: [bad.test]}, action: block}\n"
        "  - {name: tunnel, when: {host: [t.test], method: [CONNECT]}, action: block}\n"
        "tls: [{name: bank, when: {host: [bank.test]}, action: splice}]\n"
    )
    text = text_of(tmp_path, policy, Question("GET", "https://t.test/", 0.0))
    assert text.startswith("ALLOW  GET https://t.test/\n")
    assert "  but first  CONNECT t.test:443: block by tunnel (DIR/p.yaml:3), so this request is never" in text
    text = text_of(tmp_path, policy, Question("GET", "https://bank.test/", 0.0))
    assert (
        "  but first  CONNECT bank.test:443: splice by bank (DIR/p.yaml:4), so this request is never" in text
    )
    text = text_of(tmp_path, policy, Question("GET", "https://good.test/", 0.0, connect_host="bad.test"))
    assert "  but first  CONNECT bad.test:443: block by bad (DIR/p.yaml:2)" in text
    for uri in ("https://good.test/", "http://t.test/"):
        assert "but first" not in text_of(tmp_path, policy, Question("GET", uri, 0.0))


def test_what_is_refused_names_no_rule(tmp_path: Path) -> None:
    text = text_of(tmp_path, "access: [{name: all, action: block}]\n", Question("GET", "http://a b/", 0.0))
    assert text.startswith("REFUSE  GET ")
    assert "  because    'a b' is no host" in text
    assert text.endswith("  no rule was looked at")


def test_a_rule_without_conditions_and_long_values(tmp_path: Path) -> None:
    hosts = ", ".join(f"h{n}.example" for n in range(40))
    policy = (
        f"access: [{{name: h, when: {{host: [{hosts}]}}, action: block}}, {{name: all, action: block}}]\n"
    )
    text = text_of(tmp_path, policy, Question("GET", "http://a/", 0.0))
    assert text.endswith("no condition: holds always")
    assert "…; is a" in text
    assert max(map(len, text.splitlines())) < 130


def test_rules_that_say_nothing_are_counted(tmp_path: Path) -> None:
    rules = [f"{{name: r{n}, when: {{host: [h{n}.test]}}, action: block}}" for n in range(MAX_STEPS + 5)]
    policy = f"access: [{', '.join(rules)}]\n"
    question = Question("GET", "http://a/", 0.0)
    assert f"  … {MAX_STEPS + 4} rules of which nothing holds (--all shows them)" in text_of(
        tmp_path, policy, question
    )
    assert "…" not in text_of(tmp_path, policy, question, whole=True)
