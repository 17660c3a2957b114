"""Criteria on content: declared, found and named; what is unknown and what is false."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.transaction import BodyFacts, Point
from tests.policy.asking import (
    LAX,
    MAYBE,
    NO,
    UNKNOWN,
    YES,
    answered,
    both,
    early,
    outcome,
    policy,
    transaction,
)

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.policy.match import Truth
    from icapd.transaction import Transaction

    Both = tuple[Truth, Truth]
EXE, MD5, SHA = "application/x-msdownload", "0" * 32, "a" * 64
POST = ("POST", "http://good.test/")
NEVER = (None, False)


@pytest.mark.parametrize(
    ("value", "tx", "expected"),
    [
        (EXE, answered("Content-Type: Application/X-MSDOWNLOAD; a=b"), YES),
        (EXE, answered("Content-Type: text/plain, application/x-msdownload"), LAX),
        (EXE, answered("Content-Type: text/plain", "Content-Type: application/x-msdownload"), LAX),
        (EXE, answered("Content-Type: image/png", body=BodyFacts(file_types=("exe",))), LAX),
        (EXE, answered("Content-Type: application/x-msdownload", body=BodyFacts(file_types=("png",))), LAX),
        (EXE, answered("Content-Type: application/x-msdownload", body=BodyFacts(file_types=("exe",))), YES),
        (EXE, answered(body=BodyFacts(file_types=("exe",))), YES),
        (EXE, answered("Content-Type: application/x-msdownload", status=404), YES),
        (EXE, answered("Content-Type: application/x-msdownload", status=304), NO),
        (EXE, answered("Content-Type: application/x-msdownload", status=204), NO),
        (EXE, answered("Content-Type: application/x-msdownload", method="HEAD"), NO),
        ("video/*", answered("Content-Type: VIDEO/mp4"), YES),
        ("video/*", answered("Content-Type: audio/mp4"), NO),
        ("*/*", answered("Content-Type: audio/mp4"), YES),
        ("*/*", answered(), NO),
        ("text/html", answered("Content-Type: application/xhtml+xml"), NO),
        ("text/html | application/zip", answered("Content-Type: application/zip, text/html"), YES),
        (EXE, transaction(), UNKNOWN),
        (EXE, transaction("CONNECT", "a.test:443", f"Content-Type: {EXE}"), UNKNOWN),
        (EXE, transaction(*POST, f"Content-Type: {EXE}", "Content-Length: 3"), YES),
        (EXE, transaction(*POST, f"Content-Type: {EXE}", "Transfer-Encoding: chunked"), YES),
        (EXE, transaction(*POST, "Content-Type: a/b", "Content-Length: 3"), UNKNOWN),
        (EXE, early("a.test"), UNKNOWN),
        (EXE, transaction(point=Point.RESPMOD), UNKNOWN),  # a response head that is none
    ],
)
def test_mime(value: str, tx: Transaction, expected: Both) -> None:
    assert both("mime", value, tx) == expected


@pytest.mark.parametrize(
    ("tx", "expected"),
    [
        (answered(body=BodyFacts(file_types=("exe",))), YES),
        (answered(body=BodyFacts(file_types=("zip", "exe"))), LAX),
        (answered(body=BodyFacts(file_types=("png",))), NO),
        (answered(body=BodyFacts(file_types=())), NO),
        (answered(body=BodyFacts()), UNKNOWN),
        (answered(), UNKNOWN),
        (answered(status=304), NO),
        (transaction(), UNKNOWN),
        (transaction("CONNECT", "a.test:443"), UNKNOWN),
    ],
)
def test_file_type(tx: Transaction, expected: Both) -> None:
    assert both("file_type", "EXE", tx) == expected


@pytest.mark.parametrize(
    ("value", "tx", "expected"),
    [
        ("*.exe", transaction(target="http://a.test/x/A.exe?q"), YES),
        ("*.exe", transaction(target="http://a.test/a%2eexe"), YES),
        ("*.exe", transaction(target="http://a.test/a.exe%00.txt"), LAX),
        ("*.exe", transaction(target="http://a.test/a.txt"), NEVER),
        ("*.exe", transaction(target="http://a.test/"), UNKNOWN),
        ("*.exe", transaction("CONNECT", "a.test:443"), UNKNOWN),
        ("*.exe", transaction(target="http://evil.exe/"), UNKNOWN),
        ("setup*.exe", transaction(target="http://a.test/Setup-1.EXE"), YES),
        ("a.exe", transaction(target="http://a.test/a.exe"), YES),
        ("*.exe", answered("Content-Disposition: x; filename=b.exe", target="http://a.test/a.exe"), YES),
        ("*.exe", answered("Content-Disposition: x; filename=b.exe", target="http://a.test/get"), LAX),
        ("*.exe", answered("Content-Disposition: x; filename=b.txt", target="http://a.test/a.exe"), LAX),
        ("*.exe", answered("Content-Disposition: x; filename=b.exe", target="http://a.test/"), YES),
        ("*.exe", answered(target="http://a.test/a.txt"), NO),
        ("*.exe", answered(target="http://a.test/"), NO),
    ],
)
def test_file_name(value: str, tx: Transaction, expected: Both) -> None:
    assert both("file_name", value, tx) == expected


@pytest.mark.parametrize(
    ("value", "tx", "expected"),
    [
        (">10", answered("Content-Length: 11", body=BodyFacts(11)), YES),
        (">10", answered("Content-Length: 10", body=BodyFacts(10)), NO),
        (">10", answered("Content-Length: 10", body=BodyFacts(11)), LAX),
        (">10", answered("Content-Length: 11", body=BodyFacts(10)), LAX),
        (">10", answered(body=BodyFacts(11)), YES),
        (">10", answered("Content-Length: 11"), MAYBE),
        (">10", answered("Content-Length: 10"), NO),
        ("<10", answered("Content-Length: 5"), MAYBE),
        (">10", answered(), UNKNOWN),
        (">10", answered(body=BodyFacts()), UNKNOWN),
        ("0", answered(status=304), YES),
        ("0", answered(status=200, method="HEAD"), YES),
        (">10", answered("Content-Length: 99", method="HEAD"), NO),
        (">10", transaction(), UNKNOWN),
        (">10", transaction(*POST, "Content-Length: 11"), MAYBE),
        (">10", transaction(*POST, "Content-Length: 5"), UNKNOWN),
        (">10", transaction("CONNECT", "a.test:443"), UNKNOWN),
    ],
)
def test_size(value: str, tx: Transaction, expected: Both) -> None:
    assert both("size", value, tx) == expected


@pytest.mark.parametrize(
    ("value", "tx", "expected"),
    [
        (">10", answered("Content-Length: 11"), YES),
        (">10", answered("Content-Length: 11", body=BodyFacts(11)), YES),
        (">10", answered("Content-Length: 11", body=BodyFacts(1)), LAX),
        (">10", answered("Content-Length: 1", body=BodyFacts(11)), LAX),
        (">10", answered(body=BodyFacts(11)), LAX),
        (">10", answered(), NO),
        (">10", transaction(), NO),
        (">10", transaction(*POST, "Content-Length: 11"), YES),
        (">10", transaction("CONNECT", "a.test:443"), NO),
        (">10", early("a.test"), UNKNOWN),
    ],
)
def test_content_length(value: str, tx: Transaction, expected: Both) -> None:
    assert both("content_length", value, tx) == expected


@pytest.mark.parametrize(
    ("criterion", "value", "tx", "expected"),
    [
        ("md5", MD5, answered(body=BodyFacts(md5=(MD5,))), YES),
        ("md5", MD5, answered(body=BodyFacts(md5=("1" * 32,))), NO),
        ("md5", MD5, answered(body=BodyFacts(sha256=(SHA,))), UNKNOWN),
        ("sha256", SHA.upper(), answered(body=BodyFacts(sha256=(SHA,))), YES),
        ("sha256", SHA, answered(), UNKNOWN),
        ("sha256", SHA, answered(status=204), NO),
        ("sha256", SHA, transaction(), UNKNOWN),
    ],
)
def test_hashes(criterion: str, value: str, tx: Transaction, expected: Both) -> None:
    assert both(criterion, value, tx) == expected


@pytest.mark.parametrize(
    ("criterion", "value"),
    [("mime", "a/b"), ("file_type", "exe"), ("file_name", "*.exe"), ("size", ">1"), ("md5", MD5)],
)
def test_a_rule_on_requests_waits_for_no_response(criterion: str, value: str) -> None:
    assert both(criterion, value, transaction(target="http://a.test/a.txt"), waits=False) == NO


def test_a_direction_says_which_message_is_meant(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
access:
  - {name: no uploads, when: {direction: request, size: ">10", file_name: "*"}, action: block}
  - {name: no video, when: {direction: response, mime: video/*}, action: block}
  - {name: evil, when: {host: evil.test}, action: block}
""",
    )
    assert (
        outcome(rules, transaction("POST", "http://good.test/f", "Content-Length: 11")) == "block: no uploads"
    )
    assert outcome(rules, transaction(target="http://evil.test/")) == "block: evil"
    assert outcome(rules, transaction()) == "allow"
    assert outcome(rules, answered("Content-Type: video/mp4", "Content-Length: 99")) == "block: no video"
    assert rules.decide(transaction()).undecided is None


def test_without_it_the_response_decides(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
access:
  - {name: text only, when: {mime: [text/html, text/plain]}, action: allow}
  - {name: rest, action: block}
""",
    )
    assert rules.decide(transaction()).undecided is rules.access[0]
    assert outcome(rules, transaction()) == "allow"
    assert outcome(rules, answered("Content-Type: text/html")) == "allow: text only"
    assert outcome(rules, answered("Content-Type: image/png")) == "block: rest"
    assert (
        outcome(rules, answered("Content-Type: text/html", body=BodyFacts(file_types=("exe",))))
        == "block: rest"
    )


def test_what_stays_unknown_at_the_last_point_lets_nothing_out(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
bypass:
  - {name: pictures, when: {file_type: [png]}}
  - {name: all but programs, when: {host: [free.test]}, unless: [{file_type: [exe]}]}
access:
  - {name: programs, when: {file_type: [exe]}, action: block}
  - {name: not documents, when: {host: [work.test]}, unless: [{file_type: [pdf]}], action: block}
""",
    )
    assert rules.decide(answered(body_follows=True)).undecided is rules.access[0]
    for unread in (None, BodyFacts()):
        assert rules.decide(answered(body=unread)).undecided is None
        assert outcome(rules, answered(body=unread)) == "allow"
        assert outcome(rules, answered(body=unread, target="http://free.test/")) == "allow"
        assert outcome(rules, answered(body=unread, target="http://work.test/")) == "block: not documents"
    pdf = BodyFacts(file_types=("pdf",))
    assert outcome(rules, answered(body=pdf, target="http://work.test/")) == "allow"
    assert outcome(rules, answered(body=pdf, target="http://free.test/")) == "bypass: all but programs"


def test_a_length_that_is_none_is_refused_under_any_rule(tmp_path: Path) -> None:
    rules = policy(tmp_path, "bypass:\n- {name: all}\n")
    for tx in (
        answered("Content-Length: -1"),
        answered("Content-Length: 99999999999999999999"),
        transaction(*POST, "Content-Length: 1, 2"),
    ):
        assert outcome(rules, tx) == "refuse"
    assert outcome(rules, answered("Content-Length: 5")) == "bypass: all"


def test_a_trace_shows_what_was_found(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        f"""
access:
  - name: all
    when: {{mime: a/b, file_type: exe, file_name: x, size: 1k, content_length: 1, md5: {MD5}, sha256: {SHA}}}
    action: block
""",
    )
    body = BodyFacts(1024, ("exe",), (MD5,), (SHA,))
    tx = answered("Content-Type: c/d", "Content-Length: 1024", target="http://a.test/y", body=body)
    assert {check.criterion: check.found for check in rules.explain(tx).trace[0].checks} == {
        "mime": "c/d, content: exe",
        "file_type": "exe",
        "file_name": "y",
        "size": "Content-Length 1,024, body 1,024",
        "content_length": "Content-Length 1,024, body 1,024",
        "md5": MD5,
        "sha256": SHA,
    }
    assert {check.found for check in rules.explain(early("a.test")).trace[0].checks} == {""}
