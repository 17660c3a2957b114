"""The JSON Schema of the policy, for editors: made of the models that read it.

YAML here is text throughout, so a value may be written as 443 as well as "443"; an editor
reads numbers and booleans, and the schema takes these where the policy takes text.
"""

from __future__ import annotations

from typing import Any

from icapd.policy.texts import PolicyText

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_ACTION: dict[str, Any] = {
    "anyOf": [
        {"enum": ["allow", "block", "bump", "splice", "splice_if_sni_matches", "terminate"]},
        {
            "type": "object",
            "properties": {"redirect": {"type": "string", "pattern": "^https?://"}},
            "required": ["redirect"],
            "additionalProperties": False,
        },
    ]
}
_HEADERS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]},
}
_HOURS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "days": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]},
        "from": _SCALAR,
        "to": _SCALAR,
        "tz": _SCALAR,
    },
    "required": ["tz"],
    "additionalProperties": False,
}


def policy_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a policy file."""
    schema: dict[str, Any] = _loosened(PolicyText.model_json_schema(by_alias=True))
    schema["$schema"] = DIALECT
    schema["title"] = "icapd policy"
    definitions = schema.get("$defs", {})
    for properties in (one.get("properties", {}) for one in definitions.values()):
        if "action" in properties:
            properties["action"] = _ACTION
        for name in ("header", "request_header", "schedule"):
            if name in properties:
                mapping = {"$ref": "#/$defs/Hours"} if name == "schedule" else _HEADERS
                properties[name] = {"anyOf": [mapping, {"type": "array", "items": mapping}, properties[name]]}
    for properties in (schema["properties"], definitions["WorkspaceText"]["properties"]):
        for stage in ("bypass", "access", "protection", "tls"):
            items = properties[stage]["items"]
            properties[stage]["items"] = {"anyOf": [{"const": "workspace_rules"}, items]}
    definitions["Hours"] = _HOURS
    return schema


def _loosened(node: Any) -> Any:  # noqa: ANN401  (JSON)
    """Return a part of the schema with scalars for text, and one value where a list of them is meant."""
    if isinstance(node, list):
        return [_loosened(one) for one in node]
    if not isinstance(node, dict):
        return node
    out = {key: _loosened(value) for key, value in node.items()}
    if node.get("type") == "string" and "enum" not in node and "const" not in node:
        return {**out, **_SCALAR}
    if node.get("type") == "array" and node.get("items", {}).get("type") == "string":
        kept = {key: out.pop(key) for key in ("title", "description", "default") if key in out}
        if "minLength" in out:  # pydantic's word for it where a validator stands before
            out["minItems"] = out.pop("minLength")
        return {**kept, "anyOf": [out["items"], out]}
    if node.get("type") == "boolean":
        return {**out, "enum": [True, False]}
    return out
