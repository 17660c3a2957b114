"""policy.yaml into a Policy: every fault at once with its line, nothing half-loaded."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from icapd.errors import ConfigError, ConfigErrors
from icapd.lists import load_lists
from icapd.lists.store import default_cache
from icapd.macros import MacroError, Template
from icapd.policy.compile import Faults, compile_criterion
from icapd.policy.model import Action, Allow, Block, Bypass, Policy, Redirect, TlsRule, TrafficRule
from icapd.source import read_document, validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from icapd.policy.match import Matcher
    from icapd.source import Document, Place

_TLS_ACTIONS = ("bump", "splice", "splice_if_sni_matches", "terminate")
_EXEMPTING = frozenset({"splice", "splice_if_sni_matches"})
_LATER = ("protection", "default_protection")


def _as_list(value: object) -> object:
    """Take a single value where a list of one is meant."""
    return [value] if isinstance(value, str) else value


Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_list), Field(min_length=1)
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class CriteriaText(_Strict):
    """The criteria of a `when` or of one `unless` entry, as text."""

    host: Texts | None = None
    url: Texts | None = None
    method: Texts | None = None
    port: Texts | None = None
    scheme: Texts | None = None
    client: Texts | None = None
    user: Texts | None = None
    list_: Texts | None = Field(default=None, alias="list")
    category: Texts | None = None
    path: Texts | None = None
    regex: Texts | None = None
    group: Texts | None = None
    proxy_port: Texts | None = None
    user_agent: Texts | None = None
    direction: Texts | None = None
    mime: Texts | None = None
    file_type: Texts | None = None
    file_name: Texts | None = None
    size: Texts | None = None
    content_length: Texts | None = None
    md5: Texts | None = None
    sha256: Texts | None = None
    header: Any = None
    request_header: Any = None
    upgrade: Texts | None = None
    schedule: Any = None
    workspace: Texts | None = None
    homograph: Texts | None = None


_Text = TypeVar("_Text", bound=BaseModel)


class RuleText(_Strict):
    """One rule as it is written."""

    name: str = Field(default="", max_length=200)
    when: CriteriaText = CriteriaText()
    unless: tuple[CriteriaText, ...] = ()
    action: Any = None
    enabled: bool = True
    mode: Literal["enforce", "shadow"] = "enforce"


class ListText(_Strict):
    """One list: files of domains, relative to the policy's folder."""

    domains: Texts


class PolicyText(_Strict):
    """The policy file."""

    lists: dict[str, ListText] = {}
    bypass: tuple[RuleText, ...] = ()
    access: tuple[RuleText, ...] = ()
    tls: tuple[RuleText, ...] = ()
    protection: Any = None
    default_protection: Any = None


def load_policy(path: Path, *, cache: Path | None = None) -> Policy:
    """Read a policy with its lists. `cache`: where built list indexes are kept (a default serves).

    Raises ConfigErrors: all faults of all parts.
    """
    document = read_document(path)
    text, errors = _read(document)
    for key in _LATER:
        if getattr(text, key) is not None:
            errors.append(document.error((key,), f"{key!r} is not part of this version of icapd yet"))
    files = _list_files(document, text, path.parent, errors)
    builder = _Builder(document, text, errors)
    bypass, access = builder.traffic("bypass"), builder.traffic("access")
    tls = builder.tls()
    if errors:
        raise ConfigErrors(errors)
    try:
        lists = load_lists(files, cache or default_cache())
    except OSError as error:  # it was there a moment ago
        raise ConfigErrors([ConfigError(path, 0, str(error))]) from error
    content = json.dumps([document.value, lists.digest], sort_keys=True)
    return Policy(
        bypass=bypass,
        access=access,
        tls=tls,
        lists=lists,
        digest=hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16],
        files=(path, *lists.files),
    )


def _read(document: Document) -> tuple[PolicyText, list[ConfigError]]:
    """Return the policy's text and its faults; what is sound in a faulty file is kept.

    So the faults inside sound rules are found in the same run as the faulty rules are.
    """
    try:
        return validate(document, PolicyText), []
    except ConfigErrors as errors:
        value = document.value if isinstance(document.value, dict) else {}
        lists = value.get("lists")
        kept = {name: _one(ListText, lists[name]) for name in lists} if isinstance(lists, dict) else {}
        text = PolicyText.model_construct(
            lists={name: one or ListText.model_construct(domains=()) for name, one in kept.items()},
            bypass=tuple(_sound(RuleText, value.get("bypass"))),
            access=tuple(_sound(RuleText, value.get("access"))),
            tls=tuple(_sound(RuleText, value.get("tls"))),
            protection=value.get("protection"),
            default_protection=value.get("default_protection"),
        )
        return text, list(errors.errors)


def _sound(model: type[_Text], values: object) -> Iterator[_Text | None]:
    for value in values if isinstance(values, list) else ():
        yield _one(model, value)


def _one(model: type[_Text], value: object) -> _Text | None:
    try:
        return model.model_validate(value)
    except (ValidationError, RecursionError):
        return None


def _list_files(
    document: Document, text: PolicyText, folder: Path, errors: list[ConfigError]
) -> dict[str, tuple[Path, ...]]:
    """Return each list's files, having opened each once, so that a missing one has its line."""
    found: dict[str, tuple[Path, ...]] = {}
    for name, entry in text.lists.items():
        paths = tuple(folder / file for file in entry.domains)
        for at, file in enumerate(paths):
            reason = _why_unreadable(file)
            if reason is not None:
                place = ("lists", name, "domains", at)
                errors.append(document.error(place, f"list {name!r}: {str(file)!r} cannot be read: {reason}"))
        found[name] = paths
        if not _is_plain(name):
            errors.append(document.error(("lists", name), "a list's name has no control characters"))
    return found


def _why_unreadable(file: Path) -> str | None:
    try:
        with file.open("rb") as stream:
            stream.read(1)
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def _is_plain(text: str) -> bool:
    return text.isprintable() and bool(text.strip())


class _Builder:
    """Rules of one document, collecting errors as it goes."""

    def __init__(self, document: Document, text: PolicyText, errors: list[ConfigError]) -> None:
        self.document = document
        self.text = text
        self.errors = errors

    def traffic(self, stage: str) -> tuple[TrafficRule, ...]:
        """Return the rules of bypass or access; what is wrong with them goes to `errors`."""
        rules: list[TrafficRule] = []
        for place, name, text in self._named(stage):
            read = self._bypass_action if stage == "bypass" else self._access_action
            action = read(text.action, (*place, "action"))
            when, unless = self._conditions(text, place)
            if action is not None:
                exempts = isinstance(action, (Allow, Bypass))
                rules.append(TrafficRule(name, stage, self._source(place), when, unless, exempts, action))
        return tuple(rules)

    def tls(self) -> tuple[TlsRule, ...]:
        """Return the tls rules; what is wrong with them goes to `errors`."""
        rules: list[TlsRule] = []
        for place, name, text in self._named("tls"):
            action = text.action
            when, unless = self._conditions(text, place)
            if action in _TLS_ACTIONS:
                source, exempts = self._source(place), action in _EXEMPTING
                rules.append(TlsRule(name, "tls", source, when, unless, exempts, str(action)))
            else:
                advice = f"a tls rule's action is one of {', '.join(_TLS_ACTIONS)}"
                self._fault((*place, "action"), advice)
        return tuple(rules)

    def _source(self, place: Place) -> str:
        return f"{self.document.file}:{self.document.where(place)}"

    def _named(self, stage: str) -> Iterator[tuple[Place, str, RuleText]]:
        seen: dict[str, str] = {}
        written: tuple[RuleText | None, ...] = getattr(self.text, stage)
        for at, text in enumerate(written):
            if text is None:  # faulty, and told already
                continue
            place: Place = (stage, at)
            name = text.name or f"{stage} rule {at + 1}"
            if name in seen:
                self._fault((*place, "name"), f"rule {name!r} is already at {seen[name]}")
            elif not _is_plain(name):
                self._fault((*place, "name"), "a rule's name has no control characters")
            seen.setdefault(name, self._source(place))
            yield place, name, text

    def _conditions(
        self, text: RuleText, place: Place
    ) -> tuple[tuple[Matcher, ...], tuple[tuple[Matcher, ...], ...]]:
        return self._criteria(text.when, (*place, "when")), tuple(self._unless(text, place))

    def _fault(self, place: Place, message: str) -> None:
        self.errors.append(self.document.error(place, message))

    def _unless(self, text: RuleText, place: Place) -> Iterable[tuple[Matcher, ...]]:
        for number, entry in enumerate(text.unless):
            where = (*place, "unless", number)
            criteria = self._criteria(entry, where)
            if not entry.model_fields_set:
                self._fault(where, "an empty `unless` entry would except everything")
            yield criteria

    def _criteria(self, text: CriteriaText, place: Place) -> tuple[Matcher, ...]:
        matchers: list[Matcher] = []
        for field in CriteriaText.model_fields:
            values: tuple[str, ...] | None = getattr(text, field)
            if values is None:
                continue
            criterion = field.rstrip("_")
            try:
                matchers.append(compile_criterion(criterion, values, self.text.lists))
            except Faults as faults:
                for index, message in faults.faults:
                    self._fault((*place, criterion, index), f"{criterion}: {message}")
        return tuple(matchers)

    def _bypass_action(self, action: object, place: Place) -> Action | None:
        if action in (None, "allow"):
            return Bypass()
        self._fault(place, "a bypass rule can only allow; block and redirect belong into `access`")
        return None

    def _access_action(self, action: object, place: Place) -> Action | None:
        if action == "allow":
            return Allow()
        if action == "block":
            return Block()
        if isinstance(action, dict) and action.keys() == {"redirect"}:
            return self._redirect(action["redirect"], (*place, "redirect"))
        self._fault(place, 'an access rule\'s action is allow, block or {redirect: "URL"}')
        return None

    def _redirect(self, target: object, place: Place) -> Redirect | None:
        if not isinstance(target, str) or not target.startswith(("http://", "https://")):
            self._fault(place, "a redirect goes to a URL that begins with http:// or https://")
            return None
        try:
            template = Template.parse(target)
        except MacroError as error:
            self._fault(place, str(error))
            return None
        host = template.parts[0].partition("://")[2]
        if "/" not in host and len(template.parts) > 1:
            self._fault(place, "a redirect's host must not come from the request (an open redirect)")
            return None
        return Redirect(template)
