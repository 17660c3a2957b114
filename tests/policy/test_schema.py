"""The JSON Schema takes what icapd loads, and refuses what an editor should underline."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from icapd.data import shared
from icapd.policy.schema import policy_schema
from icapd.policy.texts import CriteriaText

VALIDATOR = jsonschema.Draft202012Validator(policy_schema())
SHIPPED = sorted(
    file
    for file in shared("rules").glob("**/*.yaml")  # type: ignore[attr-defined]  # a checkout's folder is a Path
    if not file.name.endswith(".test.yaml")
)


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(policy_schema())


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_policies_fit(file: Any) -> None:
    VALIDATOR.validate(yaml.safe_load(file.read_text("utf-8")))


def test_every_criterion_takes_a_value_and_a_list() -> None:
    names = [info.alias or name for name, info in CriteriaText.model_fields.items()]
    assert len(names) > 20
    for name in names:
        for value in ("x", ["x", "y"]):
            VALIDATOR.validate({"access": [{"when": {name: value}, "action": "block"}]})


@pytest.mark.parametrize(
    "rule",
    [
        {"when": {"port": 443}, "action": "block"},
        {"when": {"port": [80, 443]}, "action": "block", "enabled": False, "mode": "shadow"},
        {
            "when": {"schedule": {"days": ["mon-fri"], "from": "08:00", "to": "18:00", "tz": "UTC"}},
            "action": "allow",
        },
        {"when": {"header": {"X-A": "b*"}}, "action": {"redirect": "https://a.example/"}},
        {"group": "g", "rules": [{"action": "block"}]},
        "workspace_rules",
    ],
)
def test_what_is_right(rule: Any) -> None:
    VALIDATOR.validate({"access": [rule]})


@pytest.mark.parametrize(
    "policy",
    [
        {"acces": []},
        {"access": [{"when": {"hst": ["a"]}, "action": "block"}]},
        {"access": [{"when": {"host": []}, "action": "block"}]},
        {"access": [{"when": {"host": ["a"]}, "action": "blok"}]},
        {"access": [{"action": {"redirect": "javascript:alert(1)"}}]},
        {"access": [{"action": "block", "mode": "dark"}]},
        {"access": [{"when": {"schedule": {"days": "mon"}}, "action": "block"}]},
        {"access": ["workspace_rule"]},
        {"workspaces": [{"when": {"client": ["10.0.0.0/8"]}}]},
    ],
)
def test_what_is_wrong(policy: Any) -> None:
    assert not VALIDATOR.is_valid(policy)


def test_protection() -> None:
    rule = {"when": {"file_type": "docx"}, "scan": {"macro": "skip"}, "adapters": "clamd"}
    VALIDATOR.validate({"protection": ["workspace_rules", rule, {"group": "g", "rules": [rule]}]})
    VALIDATOR.validate({"workspaces": [{"name": "w", "protection": [rule]}], "default_protection": {}})
    VALIDATOR.validate({"lists": {"a": {"urls": "u", "threat": "phishing"}}})
    for wrong in ({"scan": {"virus": "block"}}, {"scan": {"macro": "allow"}}, {"action": "block"}):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate({"protection": [wrong]})
