"""Groups that could not be told decide against the user; absent ones decide nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from icapd.accounts import IN_DOUBT
from icapd.policy import load_policy
from tests.policy.asking import transaction

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS = {"access": [{"name": "r", "when": {"group": ["kids"]}, "action": "block"}]}
EXCEPT = {
    "access": [
        {"name": "r", "when": {"host": ["good.test"]}, "unless": [{"group": ["kids"]}], "action": "block"}
    ]
}
EXEMPTS = {
    "bypass": [{"name": "free", "when": {"group": ["kids"]}}],
    "access": [{"name": "r", "when": {"host": ["good.test"]}, "action": "block"}],
}
EXEMPTS_ALL_BUT = {
    "bypass": [{"name": "free", "when": {"host": ["good.test"]}, "unless": [{"group": ["kids"]}]}],
    "access": [{"name": "r", "when": {"host": ["good.test"]}, "action": "block"}],
}
ANY = {
    "bypass": [{"name": "free", "when": {"group": ["*"]}}],
    "access": [{"name": "r", "when": {"host": ["good.test"]}, "action": "block"}],
}


def outcome(directory: Path, policy: object, groups: tuple[str, ...] | None) -> str:
    (directory / "policy.yaml").write_text(json.dumps(policy))
    tx = transaction(user="alice")
    tx.client.groups = groups
    loaded = load_policy(directory / "policy.yaml")
    decision = loaded.decide(tx)
    explained = loaded.explain(tx)
    assert (decision.action, decision.rule) == (explained.action, explained.rule)
    return type(decision.action).__name__


@pytest.mark.parametrize(
    ("policy", "member", "absent", "doubtful"),
    [
        (BLOCKS, "Block", "Allow", "Block"),
        (EXCEPT, "Allow", "Block", "Block"),
        (EXEMPTS, "Bypass", "Block", "Block"),
        (EXEMPTS_ALL_BUT, "Block", "Bypass", "Block"),
        (ANY, "Bypass", "Block", "Block"),
    ],
)
def test_doubt_decides_against_the_user(
    tmp_path: Path, policy: object, member: str, absent: str, doubtful: str
) -> None:
    assert outcome(tmp_path, policy, ("kids",)) == member
    assert outcome(tmp_path, policy, ()) == outcome(tmp_path, policy, None) == absent
    assert outcome(tmp_path, policy, (IN_DOUBT,)) == doubtful


def test_what_is_known_in_spite_of_doubt_is_certain(tmp_path: Path) -> None:
    assert outcome(tmp_path, EXEMPTS, ("kids", IN_DOUBT)) == "Bypass"
    assert outcome(tmp_path, EXCEPT, ("kids", IN_DOUBT)) == "Allow"
    assert outcome(tmp_path, EXEMPTS, ("staff", IN_DOUBT)) == "Block"
