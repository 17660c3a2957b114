"""Test files are read whole, with lines, and say what came otherwise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from icapd.errors import ConfigErrors
from icapd.policy.explain import explain
from icapd.policy.testfile import differences, read_suite
from tests.policy.asking import policy

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """\
access:
  - {name: bad, when: {host: [bad.example]}, action: block}
  - {name: moved, when: {host: [old.example]}, action: {redirect: "https://new.example/"}}
"""


def suite(folder: Path, text: str, name: str = "policy.test.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_a_file_with_everything(tmp_path: Path) -> None:
    file = suite(
        tmp_path,
        'policy: other.yaml\nat: "2026-01-01T00:00:00+00:00"\ntests:\n'
        "  - name: all of it\n    request: GET   http://a.example/x y\n    client: 10.0.0.1\n    user: bob\n"
        "    group: [g]\n    headers: {A: b}\n    sni: s.example\n    connect_host: c.example\n"
        "    proxy_port: 3128\n    resolved: 10.0.0.9\n    response: {status: 404, body_len: 7}\n"
        "    expect: allow\n"
        "  - {request: 'CONNECT a.example:443', at: '2026-01-02T00:00:00+00:00', expect: allow}\n",
        "x.yaml",
    )
    read = read_suite(file, 5.0)
    first, second = read.cases
    assert read.policy == tmp_path / "other.yaml"
    assert (first.source, first.name) == (f"{file}:4", "all of it")
    assert (second.source, second.name) == (f"{file}:16", "CONNECT a.example:443")
    question = first.question
    assert (question.method, question.uri, question.at) == ("GET", "http://a.example/x y", 1767225600.0)
    assert dict(question.icap_headers) == {"X-Client-IP": "10.0.0.1", "x-client-username": "bob"}
    assert (question.groups, question.addresses) == (("g",), ("10.0.0.9",))
    assert question.response is not None
    assert (question.response.status, question.response.size) == (404, 7)
    assert second.question.at == 1767225600.0 + 86400


def test_the_policy_beside_it_is_meant(tmp_path: Path) -> None:
    text = "tests: [{request: GET http://a/, expect: allow}]\n"
    assert read_suite(suite(tmp_path, text), 5.0).policy == tmp_path / "policy.yaml"
    assert read_suite(suite(tmp_path, text), 5.0).cases[0].question.at == 5.0
    with pytest.raises(ConfigErrors, match="`policy` is missing"):
        read_suite(suite(tmp_path, text, "other.yaml"), 5.0)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("tests: []\n", 1, "there are no tests"),
        ("tests:\n  - {request: GET, expect: allow}\n", 2, "a request is METHOD URL"),
        ("tests:\n  - {request: GET http://a/, expect: alow}\n", 2, "tests.0.expect: "),
        ("tests:\n  - {request: GET http://a/}\n", 2, "'expect' is missing"),
        ("tests:\n  - {request: GET http://a/, expect: allow, rul: x}\n", 2, "unknown key 'rul'; did you mean 'rule'?"),
        ("tests:\n  - {request: GET http://a/, expect: allow, response: {stat: 1}}\n", 2, "unknown key 'stat'"),
        ("tests:\n  - {request: GET http://a/, expect: allow, at: noon}\n", 2, "'noon' is no time"),
        ("tests:\n  - {request: GET http://a/, expect: allow, headers: [x]}\n", 2, "'x' is not 'Name: value'"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    file = suite(tmp_path, text)
    with pytest.raises(ConfigErrors, match=re.escape(said)) as caught:
        read_suite(file, 0.0)
    assert str(caught.value).startswith(f"{file}:{line}: ")


@pytest.mark.parametrize(
    ("request_", "expected", "differing"),
    [
        ("GET http://bad.example/", "expect: block, rule: bad, stage: access, point: reqmod", []),
        ("GET http://good.example/", 'expect: allow, rule: "", stage: default, undecided: ""', []),
        ("GET http://good.example/", "expect: block", ["action: block expected, allow came"]),
        (
            "GET http://bad.example/",
            'expect: redirect, rule: moved, location: "https://new.example/"',
            [
                "action: redirect expected, block came",
                "rule: moved expected, bad came",
                "location: https://new.example/ expected, LOCATION came",
            ],
        ),
        ("GET http://bad.example/", 'expect: block, rule: ""', ["rule: none expected, bad came"]),
        ("CONNECT good.example:443", "expect: allow, tls: splice", ["tls: splice expected, bump came"]),
        ("GET http://bad.example/", "expect: block, shadow: [x]", ["shadow: x expected, none came"]),
        ("GET http://a b/", "expect: refuse, stage: target", []),
    ],
)
def test_differences(tmp_path: Path, request_: str, expected: str, differing: list[str]) -> None:
    loaded = policy(tmp_path, POLICY)
    read = read_suite(suite(tmp_path, f"tests:\n  - {{request: '{request_}', {expected}}}\n"), 0.0)
    (case,) = read.cases
    found = differences(case, explain(loaded, case.question), "LOCATION")
    assert found == differing


def test_what_scanning_finds_can_be_stated_and_its_outcome_expected(tmp_path: Path) -> None:
    loaded = policy(tmp_path, "protection: [{name: docs, when: {file_type: [docx]}, scan: {macro: skip}}]")
    text = """\
tests:
  - request: GET http://a.example/x
    response: {}
    body: {file_type: docx}
    findings: [macro=AutoOpen, {kind: malware, threat: EICAR, where: a.zip}]
    expect: block
    stage: protection
    rule: docs
    threat: EICAR
  - {request: GET http://a.example/x, errors: [clamd=open], expect: allow, threat: ""}
  - {request: GET http://a.example/x, findings: macro, expect: allow}
"""
    read = read_suite(suite(tmp_path, text), 0.0)
    found = [differences(case, explain(loaded, case.question), None) for case in read.cases]
    assert found == [[], [], ["action: allow expected, block came"]]
