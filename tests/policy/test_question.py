"""Questions from JSON, YAML and options become the transactions that the wire would bring."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.http import HeadError
from icapd.policy.question import Answered, Question, read_field, read_question, read_time
from icapd.transaction import Point

PLAIN = Question("GET", "http://a.example/", 0.0)


def test_a_whole_question() -> None:
    question = read_question(
        {
            "id": 7,
            "method": "POST",
            "uri": "https://a.example/x",
            "headers": {"Host": "a.example", "Accept": ["a/b", "c/d"]},
            "icap_headers": {"X-Client-IP": "10.0.0.1", "X-Client-Username": "bob"},
            "groups": ["staff"],
            "meta": {"sni": "b.example", "connect_host": "c.example", "proxy_port": 3128, "resolved": ["10.0.0.9"]},
            "response": {"status": 404, "headers": {"A": "b"}, "body_len": 5, "body_head_hex": "4d5a9000", "server_ip": "::1"},
            "at": "2026-01-01T00:00:00+00:00",
        },
        0.0,
    )  # fmt: skip
    assert question.unread == ()
    tx = question.transaction(Point.REQMOD)
    assert tx.request is not None
    assert tx.request.headers.get_all(b"accept") == [b"a/b", b"c/d"]
    assert (tx.client.address, tx.client.user, tx.client.groups) == ("10.0.0.1", "bob", ("staff",))
    assert (tx.sni, tx.connect_host, tx.proxy_port) == ("b.example", "c.example", 3128)
    assert (tx.addresses, tx.response, tx.body, tx.now) == (("10.0.0.9",), None, None, 1767225600.0)
    late = question.transaction(Point.RESPMOD)
    assert late.response is not None
    assert late.body is not None
    assert (late.response.status, late.body.size, late.body.file_types) == (404, 5, ("exe",))
    assert late.addresses == ("10.0.0.9", "::1")


def test_what_means_nothing_is_named() -> None:
    value = {"uri": "http://a/", "content": 1, "meta": {"x": 1}, "response": {"y": 2}}
    assert read_question(value, 0.0).unread == ("content", "meta.x", "response.y")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "a question is an object"),
        ({}, "uri: Field required"),
        ({"uri": 1}, "uri: "),
        ({"uri": "x", "headers": 3}, "headers: headers are"),
        ({"uri": "x", "headers": ["no colon"]}, "'no colon' is not 'Name: value'"),
        ({"uri": "x", "at": "noon"}, "at: 'noon' is no time"),
        ({"uri": "x", "at": True}, "at: "),
        ({"uri": "x", "at": "99999-01-01"}, "at: "),
        ({"uri": "x", "response": {"status": 7}}, "response.status: "),
        ({"uri": "x", "response": {"body_head_hex": "4"}}, "response.body_head_hex: "),
        ({"uri": "x", "response": {"body_len": -1}}, "response.body_len: "),
        ({"uri": "x", "meta": {"proxy_port": 70000}}, "meta.proxy_port: "),
    ],
)
def test_what_is_no_question(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        read_question(value, 0.0)


@pytest.mark.parametrize(
    "question",
    [
        replace(PLAIN, method="GET "),
        replace(PLAIN, method=""),
        replace(PLAIN, uri="http://a/ HTTP/1.1\r\nX: y"),
        replace(PLAIN, headers=(("A", "b\r\nC: d"),)),
        replace(PLAIN, headers=(("A", "b\nC: d"),)),
        replace(PLAIN, headers=(("A b", "c"),)),
        replace(PLAIN, icap_headers=(("X-Client-IP", "10.0.0.1\r\nX-Client-Username: root"),)),
        replace(PLAIN, icap_headers=(("X Client", "a"),)),
    ],
)
def test_what_nobody_could_send_is_no_transaction(question: Question) -> None:
    with pytest.raises(HeadError):
        question.transaction(Point.REQMOD)


def test_a_folded_header_is_one() -> None:
    tx = replace(PLAIN, headers=(("A", "b\r\n c"),)).transaction(Point.REQMOD)
    assert tx.request is not None
    assert tx.request.headers.get_all(b"a") == [b"b c"]


def test_who_asks_can_be_changed() -> None:
    question = replace(PLAIN, icap_headers=(("x-client-ip", "10.0.0.1"), ("X-Other", "1")))
    changed = question.as_user("10.0.0.2", None)
    assert changed.icap_headers == (("X-Client-IP", "10.0.0.2"), ("X-Other", "1"))
    assert question.as_user(None, None) == question


def test_times_and_fields() -> None:
    assert read_time("2026-01-01T01:00+01:00") == read_time(1767225600)
    assert read_field("A:  b:c ") == ("A", "b:c")
    with pytest.raises(ValueError, match="is not 'Name: value'"):
        read_field("a b: c")


ODD = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["\r\n", "\r", "\n", "\x00", "é", " x"]
)


@given(ODD, ODD, ODD, ODD)
def test_odd_text_is_a_transaction_or_a_head_error(method: str, uri: str, name: str, value: str) -> None:
    question = Question(
        method,
        uri,
        0.0,
        ((name, value),),
        (("X-Client-Username", value),),
        response=Answered(200, ((name, value),)),
    )
    for point in (Point.REQMOD, Point.RESPMOD):
        try:
            tx = question.transaction(point)
        except HeadError:
            continue
        assert point is Point.RESPMOD or tx.request is not None
        if tx.request is not None:
            assert len(tx.request.headers.items()) <= 1  # nothing smuggled in
