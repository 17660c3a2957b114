"""explain and the ICAP service agree: the same request, over ICAP and as a question."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.cli.subject import Subject
from icapd.config import load_config
from icapd.events import DecisionLog
from icapd.policy.explain import action_name
from icapd.policy.question import Answered, Question, read_question
from icapd.server.site import Site, load_generation
from tests.cases.icap_cases import parse_response
from tests.server.conftest import connected

if TYPE_CHECKING:
    from icapd.policy.explain import Explanation
    from tests.cases.icap_cases import Resp

POLICY = {
    "workspaces": [
        {"name": "lab", "when": {"client": ["10.9.0.0/16"]}, "access": [{"name": "lab only", "unless": [{"host": ["good.test"]}], "action": "block"}]}
    ],
    "bypass": [{"name": "safe", "when": {"host": ["good.test"], "url": ["good.test/safe"]}}],
    "access": [
        {"name": "loopback", "when": {"host": ["127.0.0.0/8", "::1"]}, "action": "block"},
        {"name": "admin", "when": {"url": ["evil.test/admin"]}, "action": "block"},
        {"name": "alice", "when": {"user": ["alice"], "host": ["evil.test"]}, "action": "allow"},
        {"name": "evil", "when": {"host": ["evil.test"]}, "unless": [{"method": ["OPTIONS"]}], "action": "block"},
        {"name": "old", "when": {"host": ["old.test"]}, "action": {"redirect": "https://new.test/?u={url}&m={method}"}},
        {"name": "exe", "when": {"file_name": ["*.exe"]}, "action": "block", "mode": "shadow"},
        {"name": "video", "when": {"mime": ["video/*"]}, "action": "block"},
    ],
    "tls": [
        {"name": "bank", "when": {"host": ["bank.test"]}, "action": "splice"},
        {"name": "maybe", "when": {"host": ["maybe.test"]}, "action": "splice_if_sni_matches"},
    ],
}  # fmt: skip
DECK = [
    json.loads(line)["request"]
    for line in (Path(__file__).parents[1] / "cases/evasion.jsonl").read_text("utf-8").splitlines()
]
# What only somebody beside the wire could tell: no ICAP request carries it to this server.
MARKS = ("X-Icapd-Fragment", "1")  # what a Squid that runs our squid.conf sends; a user's name is base64 then
SAID_BESIDE = ("meta", "content", "at")


def wire(question: Question) -> bytes:
    """The ICAP request that asks the question (RESPMOD if it has a response)."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in question.headers)
    head = f"{question.method} {question.uri} HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogatepass")
    icap = "".join(f"{name}: {value}\r\n" for name, value in question.icap_headers)
    service, parts, heads = "reqmod", f"req-hdr=0, null-body={len(head)}", head
    if question.response is not None:
        fields = "".join(f"{name}: {value}\r\n" for name, value in question.response.headers)
        response = f"HTTP/1.1 {question.response.status} Given\r\n{fields}\r\n".encode()
        parts = f"req-hdr=0, res-hdr={len(head)}, null-body={len(head) + len(response)}"
        service, heads = "respmod", head + response
    first = f"{service.upper()} icap://icapd/{service} ICAP/1.0\r\nHost: icapd\r\nAllow: 204\r\n"
    return f"{first}{icap}Encapsulated: {parts}\r\n\r\n".encode() + heads


def ask(site: Site, log: Path, question: Question) -> tuple[Resp, dict[str, Any] | None]:
    """Ask over ICAP; return the answer and the decision that was recorded, if any was."""
    protocol, link = connected(site)
    before = log.stat().st_size
    protocol.dataReceived(wire(question))
    site.decisions.flush()
    parsed = parse_response(link.sent, 0, "RESPMOD" if question.response is not None else "REQMOD")
    assert parsed is not None, link.sent
    lines = log.read_bytes()[before:].splitlines()
    return parsed[0], json.loads(lines[-1]) if lines else None


def agree(site: Site, log: Path, question: Question) -> None:
    """Hold what the server did against what explain says of the same question."""
    subject = Subject(site.generation.policy, site.generation.pages, None)
    explanation = subject.explain(question)
    answered = question.response is not None
    if answered and len(explanation.asked) == 1:  # ended at the request: Squid would not ask again
        question = dataclasses.replace(question, response=None)
    answer, recorded = ask(site, log, question)
    last = explanation.last
    if recorded is None:  # refused as no ICAP request; explain refuses it too, if for its target
        assert answer.status == 400
        assert (
            action_name(last.decision) == "refuse" or "\n" in question.uri
        )  # a bare LF ends it there already
        return
    decision = last.decision
    rule = decision.rule
    assert recorded["action"] == action_name(decision)
    assert (recorded["stage"], recorded["rule"]) == (decision.stage, rule.name if rule else None)
    assert recorded["source"] == (rule.source if rule else None)
    if last.tls is not None and last.tx is not None and last.tx.request is not None:
        marked = last.tx.request.method == "CONNECT" and MARKS in question.icap_headers
        assert recorded.get("tls") == (last.tls.action if marked else None)
    if MARKS in question.icap_headers:
        _same_answer(subject, explanation, answer)


def _same_answer(subject: Subject, explanation: Explanation, answer: Resp) -> None:
    last = explanation.last
    assert last.tx is not None
    mine = subject.answer(last)
    location = subject.location(last)
    if mine is None:
        assert answer.status == 204
        return
    assert answer.status == 200
    if location is not None:
        sent = repr(answer.__dict__ if hasattr(answer, "__dict__") else answer)
        assert location in sent


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Path]:
    folder = tmp_path_factory.mktemp("agree")
    (folder / "policy.yaml").write_text(json.dumps(POLICY))
    (folder / "icapd.yaml").write_text('{"listen": ["icap://127.0.0.1:0"], "policy": "policy.yaml"}')
    config = load_config(folder / "icapd.yaml")
    log = folder / "decisions.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return Site(config, load_generation(config), DecisionLog(descriptor)), log


@pytest.mark.parametrize("request_", DECK, ids=lambda one: one["uri"][:40])
def test_on_the_deck(served: tuple[Site, Path], request_: dict[str, Any]) -> None:
    value = {key: one for key, one in request_.items() if key not in SAID_BESIDE}
    question = read_question(value, 0.0)
    if any(set("\r\n") & set(text) for _, text in question.icap_headers):
        return  # two headers on the wire, one in JSON
    if question.response is not None:
        question = dataclasses.replace(
            question, response=Answered(question.response.status, question.response.headers)
        )
    if not question.icap_headers:
        question = dataclasses.replace(question, icap_headers=(MARKS,))
    agree(*served, question)


HOSTS = [
    "evil.test",
    "www.EVIL.test.",
    "good.test",
    "old.test",
    "bank.test",
    "maybe.test",
    "127.1",
    "[::1]",
    "e%76il.test",
    "a b",
]
PATHS = ["/", "/safe", "/safe/../x", "/admin/x", "/a/%2e%2e/admin", "/x.exe", "/?q", "", "/ü"]


@st.composite
def questions(draw: st.DrawFn) -> Question:
    host = draw(st.sampled_from(HOSTS))
    method = draw(st.sampled_from(["GET", "POST", "OPTIONS", "CONNECT", "connect", "NONE", "GE T"]))
    scheme = draw(st.sampled_from(["http", "https", "ftp", "x"]))
    tunnel = method.upper() in {"CONNECT", "NONE"}
    uri = (
        f"{host}:{draw(st.sampled_from([443, 0, 22]))}"
        if tunnel
        else f"{scheme}://{host}{draw(st.sampled_from(PATHS))}"
    )
    headers = draw(
        st.lists(
            st.sampled_from(["evil.test", "good.test", "a@b"]).map(lambda one: ("Host", one)), max_size=2
        )
    )
    icap = []
    for name, values in (
        ("X-Client-IP", ["10.9.1.1", "192.0.2.1", "-"]),
        ("X-Client-Username", ["YWxpY2U=", "Ym9i", "-", "!"]),
        ("X-SNI", ["evil.test", "maybe.test", "-", "a b"]),
        ("X-Proxy-Port", ["3128", "-", "x"]),
    ):
        if draw(st.booleans()):
            icap.append((name, draw(st.sampled_from(values))))
    icap.append(MARKS)
    response = draw(
        st.none()
        | st.sampled_from(["video/mp4", "text/html"]).map(lambda one: Answered(200, (("Content-Type", one),)))
    )
    return Question(method, uri, 0.0, tuple(headers), tuple(icap), response=None if tunnel else response)


@given(question=questions())
def test_on_random_requests(served: tuple[Site, Path], question: Question) -> None:
    agree(*served, question)
