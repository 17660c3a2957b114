"""The file's shape: single values, mappings and words that stand for them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from icapd.policy.texts import CriteriaText, EntryText, PolicyText, WorkspaceText


def test_a_single_value_is_a_list_of_one() -> None:
    assert CriteriaText.model_validate({"host": "a", "list": ["b"], "path": "/"}).model_dump(
        exclude_none=True
    ) == {
        "host": ("a",),
        "list_": ("b",),
        "path": ("/",),
    }


@pytest.mark.parametrize(
    ("written", "texts"),
    [
        ("mon 08:00-09:00 UTC", ("mon 08:00-09:00 UTC",)),
        ({"tz": "UTC"}, ("UTC",)),
        ({"days": ["mon", "wed-fri"], "tz": "UTC"}, ("mon,wed-fri UTC",)),
        ({"from": "08:00", "tz": "UTC"}, ("08:00-24:00 UTC",)),
        ({"days": "mon", "to": "09:00", "tz": "UTC"}, ("mon 00:00-09:00 UTC",)),
        ([{"tz": "UTC"}, "mon UTC"], ("UTC", "mon UTC")),
    ],
)
def test_a_schedule_is_one_text(written: object, texts: tuple[str, ...]) -> None:
    assert CriteriaText.model_validate({"schedule": written}).schedule == texts


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ({"days": "mon"}, "'tz' is missing"),
        ({"form": "08:00", "tz": "UTC"}, "unknown key 'form'; did you mean 'from'"),
        ({"zz": "x", "tz": "UTC"}, "unknown key 'zz'; known are days, from, to, tz"),
        ({"days": {"a": "b"}, "tz": "UTC"}, "days must be text"),
        ({"from": ["08:00"], "tz": "UTC"}, "from must be text"),
        ([], "schedule"),
    ],
)
def test_a_schedule_that_is_none(written: object, fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        CriteriaText.model_validate({"schedule": written})


@pytest.mark.parametrize("written", [{"A": {"b": "c"}}, {"A": [["b"]]}, {}, []])
def test_a_header_that_is_none(written: object) -> None:
    with pytest.raises(ValidationError):
        CriteriaText.model_validate({"header": written})


def test_an_entry_is_a_rule_a_group_or_the_place_of_the_workspaces() -> None:
    text = PolicyText.model_validate(
        {"access": [{"name": "a"}, {"group": "g", "rules": [{"name": "b"}]}, "workspace_rules"]}
    )
    rule, group, marker = text.access
    assert (rule.name, rule.rules) == ("a", None)
    assert group.rules is not None
    assert (group.group, group.rules[0].name) == ("g", "b")
    assert marker.workspace_rules


@pytest.mark.parametrize(
    "entry", [{"enabled": "perhaps"}, {"mode": "dark"}, {"rules": "x"}, "workspace_rule", {"group": ""}]
)
def test_what_is_no_entry_is_refused(entry: object) -> None:
    with pytest.raises(ValidationError):
        PolicyText.model_validate({"access": [entry]})


def test_switches_are_words() -> None:
    assert not EntryText.model_validate({"enabled": "false"}).enabled
    assert not EntryText.model_validate({"enabled": "no"}).enabled


def test_only_who_asks_chooses_a_workspace() -> None:
    with pytest.raises(ValidationError, match="host"):
        WorkspaceText.model_validate({"name": "w", "when": {"host": "a"}})
