"""A policy made again: with its places, its lists as far as they are there, and its rules' texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.policy import load_policy
from icapd.reports.past import made_again, main_text, rule_text

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """lists:
  games: {domains: [games.txt]}
  ut1: {folder: ut1}
access:
  - name: no games
    # which they know
    when: {list: [games]}

    unless:
      - {user: [anna]}
    action: block

  # the next
  - {name: no adults, when: {list: [ut1/adult]}, action: block}
  - group: more
    rules:
      - name: inner
        when: {host: [a.example]}
        action: block
      -
        when: {host: [b.example]}
        action: block
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "games.txt").write_text("games.example\n")
    (tmp_path / "ut1" / "adult").mkdir(parents=True)
    (tmp_path / "ut1" / "adult" / "domains").write_text("adult.example\n")
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path


def test_the_same_lists_give_the_same_digest(folder: Path) -> None:
    policy = folder / "policy.yaml"
    digest = load_policy(policy).digest
    policy.write_text("access: []\n")
    texts = {"policy.yaml": POLICY}
    past = made_again(texts, digest, policy, f"{policy}:5", folder / "scratch")
    assert (past.same, past.gone, past.fault) == (True, (), "")
    assert past.policy is not None
    assert [rule.source for rule in past.policy.access][:2] == [f"{policy}:5", f"{policy}:14"]
    (folder / "games.txt").write_text("others.example\n")
    assert not made_again(texts, digest, policy, f"{policy}:5", folder / "scratch").same


def test_lists_that_are_gone_are_empty_and_named(folder: Path) -> None:
    (folder / "games.txt").unlink()
    (folder / "ut1" / "adult" / "domains").unlink()
    (folder / "ut1" / "adult").rmdir()
    (folder / "ut1").rmdir()
    past = made_again({"policy.yaml": POLICY}, "x", folder / "policy.yaml", None, folder / "scratch")
    assert past.fault == ""
    assert past.gone == ("games", "ut1")
    assert past.policy is not None
    assert past.policy.lists.lookup("games.example") == ()


def test_lists_that_were_kept_are_those_of_then(folder: Path) -> None:
    texts = {"policy.yaml": POLICY, str(folder / "games.txt"): "kept.example\n"}
    (folder / "games.txt").unlink()
    past = made_again(texts, "x", folder / "policy.yaml", None, folder / "scratch")
    assert past.policy is not None
    assert past.gone == ()
    assert past.policy.lists.lookup("kept.example") == ("games",)


@pytest.mark.parametrize(
    "text", ["access: [", "access: [{name: a, action: no}]\n", "", "lists: 3\n", "- a\n"]
)
def test_a_policy_that_cannot_be_made_again_says_why(folder: Path, text: str) -> None:
    past = made_again({"p.yaml": text}, "x", folder / "policy.yaml", None, folder / "scratch")
    assert past.policy is None
    assert past.fault
    assert "\n" not in past.fault


def test_the_policy_among_texts_is_the_one_the_record_names(folder: Path) -> None:
    texts = {"games.txt": "a", "/etc/icapd/policy.yaml": "b", "school.yaml": "c"}
    assert main_text(texts, folder / "policy.yaml", "/srv/school.yaml:3") == ("/srv/school.yaml", "c")
    assert main_text(texts, folder / "policy.yaml", None) == ("/etc/icapd/policy.yaml", "b")
    assert main_text({"only": "d"}, folder / "policy.yaml", None) == ("only", "d")


@pytest.mark.parametrize(
    ("line", "first", "last"),
    [
        (5, "- name: no games", "  action: block"),
        (14, "- {name: no adults, when: {list: [ut1/adult]}, action: block}", None),
        (17, "- name: inner", "  action: block"),
        (21, "-", "  action: block"),
    ],
)
def test_a_rule_is_shown_as_it_is_written(line: int, first: str, last: str | None) -> None:
    lines = rule_text(POLICY, f"policy.yaml:{line}").splitlines()
    assert lines[0] == first
    assert lines[-1] == (last or first)
    assert "the next" not in "".join(lines)


@pytest.mark.parametrize("source", ["policy.yaml:0", "policy.yaml:999", "policy.yaml", "policy.yaml:x", ""])
def test_a_place_that_is_none_shows_nothing(source: str) -> None:
    assert rule_text(POLICY, source) == ""
