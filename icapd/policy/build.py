"""The policy's text into rules: groups opened, workspaces' rules put in their place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from icapd.macros import MacroError, Template
from icapd.policy.compile import compile_criterion
from icapd.policy.faults import Faults
from icapd.policy.homograph import HomographIs
from icapd.policy.message import REQUEST, DirectionIs
from icapd.policy.protection import Protection, blocking
from icapd.policy.rules import (
    Action,
    Allow,
    Block,
    Bypass,
    ProtectionRule,
    Redirect,
    TlsRule,
    TrafficRule,
    Workspace,
)
from icapd.policy.who import WorkspaceIs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.errors import ConfigError
    from icapd.policy.compile import Catalog
    from icapd.policy.match import Matcher
    from icapd.policy.texts import (
        ClientText,
        EntryText,
        PolicyText,
        ProtectionEntryText,
        ProtectionText,
        RuleText,
    )
    from icapd.source import Document, Place

    Entries = tuple[EntryText | ProtectionEntryText | None, ...]

TLS_ACTIONS = ("bump", "splice", "splice_if_sni_matches", "terminate")
_EXEMPTING = frozenset({"splice", "splice_if_sni_matches"})


@dataclass(frozen=True, slots=True)
class _Written:
    """One rule as it stands in the file, with what it belongs to."""

    place: Place
    name: str
    text: Any  # RuleText, in protection ProtectionText
    group: str | None
    workspace: str | None
    enabled: bool


class Builder:
    """Rules of one document, collecting errors as it goes."""

    def __init__(
        self, document: Document, text: PolicyText, catalog: Catalog, errors: list[ConfigError]
    ) -> None:
        self.document = document
        self.text = text
        self.catalog = catalog
        self.errors = errors

    def workspaces(self) -> tuple[Workspace, ...]:
        """Return the workspaces in order; what is wrong with them goes to `errors`."""
        found: list[Workspace] = []
        seen: dict[str, str] = {}
        for at, text in enumerate(self.text.workspaces):
            place: Place = ("workspaces", at)
            self._check_name(text.name, place, seen, "workspace")
            when = self._criteria(text.when, (*place, "when"))
            if text.enabled:
                found.append(Workspace(text.name, "workspaces", self._source(place), when, (), False))
        return tuple(found)

    def traffic(self, stage: str) -> tuple[TrafficRule, ...]:
        """Return the rules of bypass or access; what is wrong with them goes to `errors`."""
        rules: list[TrafficRule] = []
        for one in self._stage(stage):
            read = self._bypass_action if stage == "bypass" else self._access_action
            action = read(one.text.action, (*one.place, "action"))
            exempts = isinstance(action, (Allow, Bypass))
            when, unless = self._conditions(one, exempts=exempts)
            self._check_connect(one, action)
            if action is not None and one.enabled:
                rules.append(
                    TrafficRule(
                        one.name,
                        stage,
                        self._source(one.place),
                        when,
                        unless,
                        exempts,
                        action,
                        ends_connect=one.text.connect == "end",
                        shadow=one.text.mode == "shadow",
                        group=one.group,
                        workspace=one.workspace,
                    )
                )
        return tuple(rules)

    def protection(self) -> Protection:
        """Return the rules of protection and the default; what is wrong with them goes to `errors`."""
        rules: list[ProtectionRule] = []
        default = self.text.default_protection.said
        for one in self._stage("protection"):
            when, unless = self._conditions(one, exempts=False)
            scan = one.text.scan.said
            if not scan:
                self._fault(one.place, "a rule of protection says what it does: scan: {macro: block}")
            elif one.enabled:
                rules.append(
                    ProtectionRule(
                        one.name,
                        "protection",
                        self._source(one.place),
                        _for_requests(when),  # it asks about the message at hand, no other
                        tuple(map(_for_requests, unless)),
                        False,
                        scan,
                        blocking(scan, default),
                        one.text.adapters,
                        shadow=one.text.mode == "shadow",
                        group=one.group,
                        workspace=one.workspace,
                    )
                )
        return Protection(tuple(rules), blocking({}, default))

    def tls(self) -> tuple[TlsRule, ...]:
        """Return the tls rules; what is wrong with them goes to `errors`."""
        rules: list[TlsRule] = []
        for one in self._stage("tls"):
            action = one.text.action
            exempts = action in _EXEMPTING if isinstance(action, str) else False
            when, unless = self._conditions(one, exempts=exempts)
            self._check_connect(one, None)
            if action not in TLS_ACTIONS:
                advice = f"a tls rule's action is one of {', '.join(TLS_ACTIONS)}"
                self._fault((*one.place, "action"), advice)
            elif one.enabled:
                rules.append(
                    TlsRule(
                        one.name,
                        "tls",
                        self._source(one.place),
                        when,
                        unless,
                        exempts,
                        str(action),
                        shadow=one.text.mode == "shadow",
                        group=one.group,
                        workspace=one.workspace,
                    )
                )
        return tuple(rules)

    def _check_connect(self, one: _Written, action: Action | None) -> None:
        """Refuse `connect` where nothing is denied, so that it would say nothing."""
        if "connect" in one.text.model_fields_set and not isinstance(action, (Block, Redirect)):
            self._fault((*one.place, "connect"), "`connect` is for access rules that block or redirect")

    def _stage(self, stage: str) -> Iterator[_Written]:
        """Yield a stage's rules in the order in which they are asked."""
        own = [
            (("workspaces", at, stage), workspace)
            for at, workspace in enumerate(self.text.workspaces)
            if getattr(workspace, stage, ())
        ]
        inner: list[_Written] = []
        for place, workspace in own:
            for one in self._rules(getattr(workspace, stage), place, stage, workspace.name):
                if one is None:
                    self._fault(place, "workspaces' rules have their place among the global rules")
                else:
                    inner.append(replace(one, enabled=one.enabled and workspace.enabled))
        placed = False
        for one in self._rules(getattr(self.text, stage), (stage,), stage, None):
            if one is not None:
                yield one
            elif placed:
                self._fault((stage,), f"'workspace_rules' stands in {stage} twice")
            else:
                placed = True
                yield from inner
        if not placed:
            yield from inner

    def _rules(
        self, entries: Entries, place: Place, stage: str, workspace: str | None
    ) -> Iterator[_Written | None]:
        """Yield the rules of `entries`, those of groups in their order; None where workspaces' rules go."""
        seen: dict[str, str] = {}
        for at, entry in enumerate(entries):
            here: Place = (*place, at)
            if entry is None:  # faulty, and told already
                continue
            if entry.workspace_rules:
                yield None
            elif entry.rules is None:
                if entry.group is not None:
                    self._fault(here, f"group {entry.group!r} has no `rules`")
                name = entry.name or f"{stage} rule {at + 1}"
                self._check_name(name, here, seen, "rule")
                yield _Written(here, name, entry, None, workspace, entry.enabled)
            else:
                yield from self._group(entry, here, seen, workspace)

    def _group(
        self,
        entry: EntryText | ProtectionEntryText,
        place: Place,
        seen: dict[str, str],
        workspace: str | None,
    ) -> Iterator[_Written]:
        group = entry.group or ""
        if not group:
            self._fault(place, "`rules` make up a group: give its name as `group`")
        for key in ("name", "when", "unless", "action", "connect", "scan", "adapters", "mode"):
            if key in entry.model_fields_set:
                self._fault((*place, key), f"{key!r} belongs into the rules of group {group!r}")
        texts: tuple[RuleText | ProtectionText | None, ...] = entry.rules or ()
        for at, text in enumerate(texts):
            if text is None:
                continue
            here: Place = (*place, "rules", at)
            name = text.name or f"{group} rule {at + 1}"
            self._check_name(name, here, seen, "rule")
            yield _Written(here, name, text, group, workspace, text.enabled and entry.enabled)

    def _check_name(self, name: str, place: Place, seen: dict[str, str], what: str) -> None:
        if name in seen:
            self._fault((*place, "name"), f"{what} {name!r} is already at {seen[name]}")
        elif not name.isprintable() or not name.strip():
            self._fault((*place, "name"), f"a {what}'s name has no control characters")
        seen.setdefault(name, self._source(place))

    def _source(self, place: Place) -> str:
        return f"{self.document.file}:{self.document.where(place)}"

    def _fault(self, place: Place, message: str) -> None:
        self.errors.append(self.document.error(place, message))

    def _conditions(
        self, one: _Written, *, exempts: bool
    ) -> tuple[tuple[Matcher, ...], tuple[tuple[Matcher, ...], ...]]:
        """Return `when` and `unless`; a criterion on content waits for no response in a rule on requests."""
        when = self._criteria(one.text.when, (*one.place, "when"))
        if one.workspace is not None:
            when = (WorkspaceIs((one.workspace,)), *when)
        requests = _is_on_requests(when)
        unless = []
        for number, entry in enumerate(one.text.unless):
            place = (*one.place, "unless", number)
            if not entry.model_fields_set:
                self._fault(place, "an empty `unless` entry would except everything")
            criteria = self._criteria(entry, place)
            unless.append(_for_requests(criteria) if requests or _is_on_requests(criteria) else criteria)
        strict = [("when", when)] if exempts else [(("unless", n), entry) for n, entry in enumerate(unless)]
        if any(isinstance(matcher, HomographIs) for _, entry in strict for matcher in entry):
            self._fault(one.place, "homograph: a name that looks like another lets nothing out; use `host`")
        return _for_requests(when) if requests else when, tuple(unless)

    def _criteria(self, text: ClientText, place: Place) -> tuple[Matcher, ...]:
        matchers: list[Matcher] = []
        for field in type(text).model_fields:
            values: tuple[str, ...] | None = getattr(text, field)
            if values is None:
                continue
            criterion = field.rstrip("_")
            try:
                matchers.append(compile_criterion(criterion, values, self.catalog))
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


def _is_on_requests(matchers: tuple[Matcher, ...]) -> bool:
    return any(isinstance(each, DirectionIs) and set(each.wanted) == {REQUEST} for each in matchers)


def _for_requests(matchers: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
    return tuple(
        replace(each, waits=False) if hasattr(each, "waits") else each  # type: ignore[type-var]
        for each in matchers
    )
