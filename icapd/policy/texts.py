"""The policy file as it is written: pydantic models, all values text."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from icapd.lists.spec import ListText  # noqa: TC001  (pydantic reads it)
from icapd.verdicts import Kind

_HOURS = ("days", "from", "to", "tz")


def _as_list(value: object) -> object:
    """Take a single value where a list of one is meant."""
    return [value] if isinstance(value, str) else value


def _header_texts(value: object) -> object:
    """Take {Name: pattern} and {Name: [pattern, …]} for "Name: pattern"."""
    if not isinstance(value, dict):
        return _as_list(value)
    texts = []
    for name, patterns in value.items():
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            if not isinstance(pattern, str):
                raise ValueError(f"the pattern of {name!r} must be text")  # noqa: TRY004  (pydantic's way)
            texts.append(f"{name}: {pattern}")
    return texts


def _schedule_texts(value: object) -> object:
    """Take {days, from, to, tz} for "days from-to tz"."""
    if isinstance(value, list):
        return [text for each in value for text in _as_texts(_schedule_texts(each))]
    if not isinstance(value, dict):
        return _as_list(value)
    for key, part in value.items():
        if key not in _HOURS:
            near = difflib.get_close_matches(str(key), _HOURS, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(_HOURS)}"
            raise ValueError(f"unknown key {key!r}; {advice}")
        if not isinstance(part, str) and not (key == "days" and _is_texts(part)):
            raise ValueError(f"{key} must be text")
    if "tz" not in value:
        raise ValueError("'tz' is missing: a time zone such as Europe/Berlin, or UTC")
    days = value.get("days", "")
    parts = [days if isinstance(days, str) else ",".join(days)]
    if "from" in value or "to" in value:
        parts.append(f"{value.get('from', '00:00')}-{value.get('to', '24:00')}")
    return [" ".join((*filter(None, parts), value["tz"]))]


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _as_texts(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


_Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[_Text, ...], BeforeValidator(_as_list), Field(min_length=1)]
HeaderTexts = Annotated[tuple[_Text, ...], BeforeValidator(_header_texts), Field(min_length=1)]
ScheduleTexts = Annotated[tuple[_Text, ...], BeforeValidator(_schedule_texts), Field(min_length=1)]


class Strict(BaseModel):
    """A mapping with known keys only."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)


class ClientText(Strict):
    """The criteria on who asks, as text: those that can choose a workspace."""

    client: Texts | None = None
    user: Texts | None = None
    group: Texts | None = None
    proxy_port: Texts | None = None


class CriteriaText(ClientText):
    """The criteria of a `when` or of one `unless` entry, as text."""

    host: Texts | None = None
    url: Texts | None = None
    path: Texts | None = None
    regex: Texts | None = None
    method: Texts | None = None
    port: Texts | None = None
    scheme: Texts | None = None
    list_: Texts | None = Field(default=None, alias="list")
    category: Texts | None = None
    homograph: Texts | None = None
    user_agent: Texts | None = None
    workspace: Texts | None = None
    direction: Texts | None = None
    mime: Texts | None = None
    file_type: Texts | None = None
    file_name: Texts | None = None
    size: Texts | None = None
    content_length: Texts | None = None
    md5: Texts | None = None
    sha256: Texts | None = None
    header: HeaderTexts | None = None
    request_header: HeaderTexts | None = None
    upgrade: Texts | None = None
    schedule: ScheduleTexts | None = None


class ConditionsText(Strict):
    """What every rule has."""

    name: str = Field(default="", max_length=200)
    when: CriteriaText = CriteriaText()
    unless: tuple[CriteriaText, ...] = ()
    enabled: bool = True
    mode: Literal["enforce", "shadow"] = "enforce"


class RuleText(ConditionsText):
    """One rule as it is written."""

    action: Any = None
    connect: Literal["page", "end"] = "page"


_Scan = Literal["block", "skip"]


class ScanText(Strict):
    """What is done with each kind of finding."""

    malware: _Scan | None = None
    phishing: _Scan | None = None
    malicious_url: _Scan | None = None
    macro: _Scan | None = None
    encrypted: _Scan | None = None
    unscannable: _Scan | None = None
    limit: _Scan | None = None
    too_large: _Scan | None = None
    partial: _Scan | None = None
    type_mismatch: _Scan | None = None
    active_content: _Scan | None = None
    stream: _Scan | None = None

    @property
    def said(self) -> dict[Kind, _Scan]:
        """The kinds that are named."""
        return {Kind(name): value for name, value in self if value is not None}


class ProtectionText(ConditionsText):
    """One rule of protection as it is written."""

    scan: ScanText = ScanText()
    adapters: Texts | None = None


class _Group(Strict):
    """Beside a rule there may stand in a stage: a group of rules, or the place of the workspaces' rules."""

    group: str | None = Field(default=None, min_length=1, max_length=200)
    workspace_rules: bool = False


class EntryText(RuleText, _Group):
    """What stands in a stage: a rule, a group of rules, or the place of the workspaces' rules."""

    rules: tuple[RuleText, ...] | None = None


class ProtectionEntryText(ProtectionText, _Group):
    """The same in protection."""

    rules: tuple[ProtectionText, ...] | None = None


def _entry(value: object) -> object:
    """Take the word `workspace_rules` for the place of the workspaces' rules."""
    return {"workspace_rules": True} if value == "workspace_rules" else value


Entry = Annotated[EntryText, BeforeValidator(_entry)]
ProtectionEntry = Annotated[ProtectionEntryText, BeforeValidator(_entry)]


class WorkspaceText(Strict):
    """One workspace: whom it is for, and its own rules."""

    name: str = Field(min_length=1, max_length=200)
    when: ClientText = ClientText()
    enabled: bool = True
    bypass: tuple[Entry, ...] = ()
    access: tuple[Entry, ...] = ()
    protection: tuple[ProtectionEntry, ...] = ()
    tls: tuple[Entry, ...] = ()


class PolicyText(Strict):
    """The policy file."""

    lists: dict[str, ListText] = {}
    workspaces: tuple[WorkspaceText, ...] = ()
    bypass: tuple[Entry, ...] = ()
    access: tuple[Entry, ...] = ()
    protection: tuple[ProtectionEntry, ...] = ()
    tls: tuple[Entry, ...] = ()
    default_protection: ScanText = ScanText()
