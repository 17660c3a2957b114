"""Tests of a policy, in YAML: what an administrator expects of it, kept beside it.

    policy: school.yaml              # beside this file; without it, X.test.yaml tests X.yaml
    at: "2026-03-02T10:00:00+01:00"  # for all tests that give no time of their own
    tests:
      - name: games are blocked in lessons
        request: GET https://games.example/
        client: 10.1.2.3
        expect: block
        rule: no games in lessons

A test asks one question and names what must come of it; what it does not name is not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from icapd.errors import ConfigErrors
from icapd.policy.explain import Explanation, action_name
from icapd.policy.question import (
    FieldsText,
    Question,
    ResponseText,
    Texts,
    Time,
    answered_of,
)
from icapd.policy.scanned import BodyText, ErrorsText, FindingsText, scanned_of
from icapd.source import read_document, validate

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.policy.explain import Asked


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Response(ResponseText):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_request(value: object) -> object:
    method, blank, uri = str(value).partition(" ")
    if not blank or not method or not uri.strip():
        raise ValueError("a request is METHOD URL, such as GET https://site.example/ or CONNECT host:443")
    return f"{method} {uri.strip()}"


class CaseText(_Strict):
    """One test as it is written: the question, then what must come of it."""

    name: str = Field(default="", description="What the test says, as a sentence.")
    request: Annotated[str, BeforeValidator(_as_request)] = Field(description="METHOD URL.")
    headers: FieldsText = Field(default=(), description="Request headers.")
    icap_headers: FieldsText = Field(default=(), description="What Squid says beside the request.")
    client: str | None = Field(default=None, description="Who asks: the address.")
    user: str | None = Field(default=None, description="Who asks: the name.")
    group: Texts | None = Field(default=None, description="Who asks: the groups.")
    sni: str | None = Field(default=None, description="The name in the TLS handshake.")
    connect_host: str | None = Field(default=None, description="The name the tunnel was opened with.")
    proxy_port: int | None = Field(default=None, ge=1, le=65535, description="Squid's port.")
    resolved: Texts = Field(default=(), description="Addresses that the name leads to.")
    at: Time | None = Field(default=None, description="When, in ISO 8601.")
    response: _Response | None = Field(default=None, description="Ask about this response too.")

    body: BodyText | None = Field(default=None, description="What the body is, once it has been read.")
    findings: FindingsText = Field(default=(), description="What scanning finds in it.")
    errors: ErrorsText = Field(default=(), description="Scanners that cannot look.")

    expect: Literal["allow", "block", "redirect", "bypass", "refuse"] = Field(description="What must come.")
    rule: str | None = Field(default=None, description='The rule that must decide; "" for none.')
    stage: str | None = Field(
        default=None, description="bypass, access, protection, default_protection, default or target."
    )
    location: str | None = Field(default=None, description="Where a redirect must lead.")
    threat: str | None = Field(default=None, description='The worst that was found; "" for none.')
    category: str | None = Field(default=None, description="The list or category that decided.")
    workspace: str | None = Field(default=None, description='The workspace chosen; "" for none.')
    undecided: str | None = Field(default=None, description='The rule that waits for more; "" for none.')
    shadow: Texts | None = Field(default=None, description="Rules in shadow mode that would have decided.")
    tls: Literal["bump", "splice", "splice_if_sni_matches", "terminate"] | None = Field(
        default=None, description="What Squid must do with the tunnel."
    )
    point: Literal["connect", "reqmod", "respmod"] | None = Field(
        default=None, description="Where it must be decided."
    )


class FileText(_Strict):
    """A file of tests."""

    policy: str | None = Field(default=None, min_length=1, description="The policy or icapd.yaml to test.")
    at: Time | None = Field(default=None, description="When, for tests that do not say.")
    tests: tuple[CaseText, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One test: where it stands, what it asks and what it expects."""

    source: str
    name: str
    question: Question
    expected: CaseText


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one file; `policy` is what they are about."""

    file: Path
    policy: Path
    cases: tuple[Case, ...]


def read_suite(path: Path, now: float) -> Suite:
    """Read a file of tests. Raises ConfigErrors: everything that is wrong with it, with lines."""
    document = read_document(path)
    text = validate(document, FileText)
    if not text.tests:
        raise ConfigErrors([document.error(("tests",), "there are no tests")])
    if text.policy is not None:
        policy = path.parent / text.policy
    elif path.name.endswith(".test.yaml"):
        policy = path.with_name(path.name.removesuffix(".test.yaml") + ".yaml")
    else:
        raise ConfigErrors([document.error((), "`policy` is missing: which policy do these tests ask?")])
    at = now if text.at is None else text.at
    cases = tuple(
        Case(
            f"{document.file}:{document.where(('tests', number))}",
            one.name or one.request,
            _question(one, at),
            one,
        )
        for number, one in enumerate(text.tests)
    )
    return Suite(path, policy, cases)


def _question(text: CaseText, at: float) -> Question:
    method, _, uri = text.request.partition(" ")
    question = Question(
        method,
        uri,
        at if text.at is None else text.at,
        text.headers,
        text.icap_headers,
        text.group,
        text.sni,
        text.connect_host,
        text.proxy_port,
        text.resolved,
    )
    if text.response is not None:
        question = replace(question, response=answered_of(text.response))
    question = replace(question, scanned=scanned_of(text.findings, text.errors, text.body))
    return question.as_user(text.client, text.user)


_EXPECTED = (
    *("rule", "stage", "location", "category", "threat"),
    *("workspace", "undecided", "tls", "point"),
)


def differences(case: Case, explanation: Explanation, location: str | None) -> list[str]:
    """Return what came otherwise than expected: "action: block expected, allow came"."""
    expected, last = case.expected, explanation.last
    came = _what_came(last, location)
    wanted: dict[str, str | None] = {
        "action": expected.expect,
        "shadow": None if expected.shadow is None else ", ".join(expected.shadow),
        **{key: getattr(expected, key) for key in _EXPECTED},
    }
    return [
        f"{key}: {_shown(want)} expected, {_shown(came[key])} came"
        for key, want in wanted.items()
        if want is not None and want != came[key]
    ]


def _what_came(last: Asked, location: str | None) -> dict[str, str]:
    decision = last.decision
    return {
        "action": action_name(decision),
        "rule": decision.rule.name if decision.rule is not None else "",
        "stage": decision.stage,
        "location": location or "",
        "category": decision.category or "",
        "threat": decision.threat,
        "workspace": decision.workspace or "",
        "undecided": decision.undecided.name if decision.undecided is not None else "",
        "shadow": ", ".join(rule.name for rule in decision.shadow),
        "tls": last.tls.action if last.tls is not None else "",
        "point": last.name,
    }


def _shown(text: str) -> str:
    return text or "none"
