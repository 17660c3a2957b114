"""policy.yaml into a Policy: every fault at once with its line, nothing half-loaded."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from icapd.errors import ConfigError, ConfigErrors
from icapd.lists import load_lists
from icapd.lists.spec import ListText, list_specs
from icapd.lists.store import default_cache
from icapd.policy.build import Builder
from icapd.policy.compile import Catalog
from icapd.policy.model import Policy
from icapd.policy.regexes import RegexError
from icapd.policy.texts import (
    ConditionsText,
    EntryText,
    PolicyText,
    ProtectionEntryText,
    ProtectionText,
    RuleText,
    ScanText,
    WorkspaceText,
)
from icapd.source import digest_of, read_document, validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from icapd.lists.spec import ListSpec
    from icapd.source import Document

_DIGESTS = frozenset({"md5", "sha256"})

_Text = TypeVar("_Text", bound=BaseModel)


def load_policy(path: Path, *, cache: Path | None = None, document: Document | None = None) -> Policy:
    """Read a policy with its lists. `cache`: where built list indexes are kept (a default serves).

    `document` is what `path` holds, if that was read already. Raises ConfigErrors: all faults of all parts.
    """
    document = document or read_document(path)
    text, errors = _read(document)
    specs, faults = list_specs(document, text.lists, path.parent)
    errors += faults
    builder = Builder(document, text, _catalog(specs, text), errors)
    workspaces = builder.workspaces()
    bypass, access, tls = builder.traffic("bypass"), builder.traffic("access"), builder.tls()
    protection = builder.protection()
    if errors:
        raise ConfigErrors(errors)
    lists = load_lists(specs, cache or default_cache())
    content = json.dumps([document.value, lists.digest], sort_keys=True)
    try:
        return Policy(
            bypass=bypass,
            access=access,
            tls=tls,
            workspaces=workspaces,
            protection=protection,
            lists=lists,
            digest=hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16],
            files=(path, *lists.files),
            asks_md5='"md5"' in content,
            source=document.digest,
        )
    except RegexError as error:
        raise ConfigErrors([ConfigError(path, 0, str(error))]) from error


def reload_policy(old: Policy, path: Path) -> Policy:
    """Return `old` if neither its file nor a list of it has changed since it was loaded, else load `path`.

    Raises ConfigErrors.
    """
    if old.source and old.files[:1] == (path,) and old.source == digest_of(path) and old.lists.is_current:
        return old
    return load_policy(path)


def _catalog(specs: Iterable[ListSpec], text: PolicyText) -> Catalog:
    specs = tuple(specs)
    return Catalog(
        {spec.name: spec.category or spec.name for spec in specs},
        frozenset(spec.name for spec in specs if any(source.kind in _DIGESTS for source in spec.sources)),
        tuple(workspace.name for workspace in text.workspaces),
    )


def _read(document: Document) -> tuple[PolicyText, list[ConfigError]]:
    """Return the policy's text and its faults; what is sound in a faulty file is kept.

    So the faults inside sound rules are found in the same run as the faulty rules are. A faulty
    entry is None, which no model allows: the builder passes it over.
    """
    try:
        return validate(document, PolicyText), []
    except ConfigErrors as errors:
        value = document.value if isinstance(document.value, dict) else {}
        lists = value.get("lists")
        kept = {name: _one(ListText, lists[name]) for name in lists} if isinstance(lists, dict) else {}
        text = PolicyText.model_construct(
            lists={name: one for name, one in kept.items() if one is not None},
            workspaces=tuple(_sound_workspaces(value.get("workspaces"))),
            bypass=_sound_entries(value.get("bypass")),
            access=_sound_entries(value.get("access")),
            tls=_sound_entries(value.get("tls")),
            protection=_sound_entries(value.get("protection"), ProtectionEntryText, ProtectionText),
            default_protection=_one(ScanText, value.get("default_protection")) or ScanText(),
        )
        return text, list(errors.errors)


def _sound_entries(
    values: object,
    entry: type[EntryText | ProtectionEntryText] = EntryText,
    member: type[ConditionsText] = RuleText,
) -> tuple[Any, ...]:
    found = []
    for value in values if isinstance(values, list) else ():
        whole = _one(entry, {"workspace_rules": True} if value == "workspace_rules" else value)
        if whole is None and isinstance(value, dict) and isinstance(value.get("rules"), list):
            rules = tuple(_one(member, rule) for rule in value["rules"])
            whole = entry.model_construct(group=str(value.get("group") or "-"), rules=rules)
        found.append(whole)
    return tuple(found)


def _sound_workspaces(values: object) -> Iterator[WorkspaceText]:
    for value in values if isinstance(values, list) else ():
        whole = _one(WorkspaceText, value)
        if whole is None:
            part = value if isinstance(value, dict) else {}
            whole = WorkspaceText.model_construct(
                name=str(part.get("name")),
                bypass=_sound_entries(part.get("bypass")),
                access=_sound_entries(part.get("access")),
                protection=_sound_entries(part.get("protection"), ProtectionEntryText, ProtectionText),
                tls=_sound_entries(part.get("tls")),
            )
        yield whole


def _one(model: type[_Text], value: object) -> _Text | None:
    try:
        return model.model_validate(value)
    except (ValidationError, RecursionError):
        return None
