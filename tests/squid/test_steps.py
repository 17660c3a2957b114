"""What Squid's external ACL is answered: the policy's own decisions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from icapd.policy import load_policy
from icapd.squid.steps import Answers, reply

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """\
access:
  - {name: blocked, when: {host: [blocked.test]}, action: block}
tls:
  - {name: guests, when: {client: [10.9.0.0/16]}, action: bump}
  - {name: cut, when: {host: [cut.test]}, action: terminate}
  - {name: odd ports, when: {port: [8443]}, action: terminate}
  - {name: named, when: {host: [named.test]}, action: splice_if_sni_matches}
  - {name: bank, when: {host: [bank.test, blocked.test, "192.0.2.7"]}, action: splice}
"""


def answer(directory: Path, line: str, policy: str = POLICY) -> str:
    (directory / "policy.yaml").write_text(policy)
    return reply(line, load_policy(directory / "policy.yaml"), 0.0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("10.1.1.1 192.0.2.1 443 443 - 1", "icapd_step1=peek"),
        ("10.9.1.1 192.0.2.1 443 443 - 1", "icapd_step1=bump"),  # decided before any name is known
        ("10.1.1.1 192.0.2.1 443 443 bank.test 2", "icapd_step2=splice"),
        ("10.1.1.1 192.0.2.1 443 443 WWW.Bank.test 2", "icapd_step2=splice"),
        ("10.1.1.1 192.0.2.1 443 443 other.test 2", "icapd_step2=bump"),
        ("10.1.1.1 192.0.2.1 443 443 blocked.test 2", "icapd_step2=bump"),  # for its page
        ("10.1.1.1 192.0.2.1 443 443 cut.test 2", "icapd_step2=terminate"),
        ("10.1.1.1 192.0.2.1 8443 443 other.test 2", "icapd_step2=terminate"),
        ("10.1.1.1 192.0.2.1 443 443 named.test 2", "icapd_step2=splice"),
        ("10.1.1.1 192.0.2.1 443 443 - 2", "icapd_step2=bump"),
        ("10.1.1.1 192.0.2.7 443 443 - 2", "icapd_step2=splice"),
        ("10.1.1.1 192.0.2.7 443 443 bank%2etest 2 -", "icapd_step2=splice"),
        ("10.1.1.1 2001:db8::1 443 443 - 2", "icapd_step2=bump"),
        ("10.1.1.1 192.0.2.1 443 443 a..b 2", "icapd_step2=bump"),  # no name at all: refused
    ],
)
def test_answers(tmp_path: Path, line: str, expected: str) -> None:
    assert answer(tmp_path, f"17 {line}") == f"17 OK {expected}"


@pytest.mark.parametrize(
    "line", ["", "5", "5 a", "x 10.1.1.1 192.0.2.1 443 443 - 1", "5 " + "a" * 9000, "\u00b2 a b 1 2 c 1"]
)
def test_what_is_no_question(tmp_path: Path, line: str) -> None:
    assert answer(tmp_path, line).endswith(" BH message=not-a-question")


def test_without_rules_nothing_is_peeked_at(tmp_path: Path) -> None:
    assert answer(tmp_path, "1 10.1.1.1 192.0.2.1 443 443 - 1", "access: []\n") == "1 OK icapd_step1=bump"


def test_a_changed_policy_is_read_and_a_faulty_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    answers = Answers(file)
    line = "1 10.1.1.1 192.0.2.1 443 443 bank.test 2"
    assert answers.reply(line, 10.0) == "1 OK icapd_step2=splice"
    file.write_text("tls: [{name: no, when: {host: [bank.test]}, action: terminate}]\n")
    assert answers.reply(line, 10.5) == "1 OK icapd_step2=splice"  # it looks once a second
    assert answers.reply(line, 11.5) == "1 OK icapd_step2=terminate"
    told: list[str] = []
    file.write_text("tls: [{name: no, action: nonsense}]\n")
    assert answers.reply(line, 13.0, told.append) == "1 OK icapd_step2=terminate"
    assert "the old policy stays" in "".join(told)
    file.unlink()
    assert answers.reply(line, 15.0, told.append) == "1 OK icapd_step2=terminate"


def test_the_policys_own_answer(tmp_path: Path) -> None:
    """JSON is YAML, and the answers do not depend on how it is written."""
    policy = json.dumps({"tls": [{"name": "b", "when": {"host": ["bank.test"]}, "action": "splice"}]})
    assert answer(tmp_path, "1 10.1.1.1 192.0.2.1 443 443 bank.test 2", policy) == "1 OK icapd_step2=splice"


@pytest.mark.parametrize("port", ["%B2", "9" * 5000])
def test_a_port_that_is_no_number_is_unknown(tmp_path: Path, port: str) -> None:
    assert answer(tmp_path, f"5 10.1.1.1 192.0.2.1 443 {port} - 1").startswith("5 OK icapd_step1=")
