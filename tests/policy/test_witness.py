"""For every criterion a request is found that a rule on it holds for; and none that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.policy.witness import Witnesses, members_of
from tests.policy.asking import policy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "criterion",
    [
        "host: [a.example]", "host: ['=a.example']", "host: [10.0.0.0/8]", "host: ['::1']", "host: [.a.example]",
        "url: [a.example/x?q]", "url: ['=https://a.example:8443/x']", "url: ['*.a.example']", "url: ['http://[::1]/']",
        "method: [PUT]", "method: [CONNECT]", "port: ['8000-8010']", "scheme: [ftp]", "scheme: [https]",
        "client: [10.0.0.5-10.0.0.9]", "client: [10.0.0.0/8]", "user: ['al*']", "group: [staff]", "proxy_port: [3129]",
        "path: [/x]", "file_name: ['*.exe']", "user_agent: ['*IE*']", "upgrade: [websocket]", "direction: [response]",
        "direction: [request]", "mime: [video/*]", "mime: [text/html]", "size: ['>10MB']", "size: ['<1k']",
        "content_length: ['>10MB']", "file_type: [exe]", "header: {X-A: 'b*'}", "request_header: {X-A: b}",
        "schedule: {days: [sun], from: '22:00', to: '06:00', tz: Europe/Berlin}", "list: [some]",
        "host: [a.example], user: [x], client: [10.0.0.1], mime: [a/b], schedule: {days: sat, tz: UTC}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("action", ["block", "allow"])
def test_a_request_is_found(tmp_path: Path, criterion: str, action: str) -> None:
    lists = "lists: {some: {domains: [some]}}\n" if "list:" in criterion else ""
    text = f"{lists}access:\n  - {{when: {{{criterion}}}, action: {action}}}\n"
    loaded = policy(tmp_path, text, some="b.example\n")
    witnesses = Witnesses(loaded)
    (rule,) = loaded.access
    found = list(witnesses.for_rule(rule))
    assert found
    assert all(witnesses.truth(rule, question) for question in found)


def test_exceptions_are_gone_around(tmp_path: Path) -> None:
    text = "access:\n  - {when: {host: [a.example]}, unless: [{method: [GET]}, {path: [/]}], action: block}\n"
    loaded = policy(tmp_path, text)
    found = list(Witnesses(loaded).for_rule(loaded.access[0]))
    assert [question.method for question in found] in ([], ["CONNECT"])


def test_each_value_gets_a_request(tmp_path: Path) -> None:
    loaded = policy(tmp_path, "access:\n  - {when: {host: [a.test, b.test], method: [GET]}, action: block}\n")
    found = Witnesses(loaded).for_rule(loaded.access[0])
    assert [question.uri for question in found] == ["http://a.test/", "http://b.test/"]


def test_a_rule_of_a_workspace_is_asked_by_its_users(tmp_path: Path) -> None:
    text = (
        "workspaces:\n  - name: lab\n    when: {client: [10.9.0.0/16], user: [bob]}\n"
        "    access: [{when: {host: [a.test]}, action: block}]\n"
    )
    loaded = policy(tmp_path, text)
    (question,) = Witnesses(loaded).for_rule(loaded.access[0])
    assert sorted(value for _, value in question.icap_headers) == ["10.9.0.0", "bob"]


def test_members_of_lists(tmp_path: Path) -> None:
    text = "lists:\n  one: {domains: [one]}\n  two: {domains: [two, one]}\n  none: {domains: [none]}\n"
    lists = {"one": "# c\n0.0.0.0 a.test b.test\n", "two": "||c.test^\nd.test\n", "none": "# nothing\n"}
    found = members_of(policy(tmp_path, text, **lists))
    assert found["one"] == "a.test"
    assert found.keys() == {"one", "two"}
