"""A record is one well-formed message of RFC 5424, whatever clients sent, and never longer than agreed."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.events.formats import FORMATS, plain
from icapd.events.rfc5424 import CUT, FACILITIES, UDP_BYTES, Form, frame, severity
from icapd.recording import Facility

RECORD: dict[str, Any] = {
    "time": "2023-11-14T22:13:20.250Z", "id": "k3v7q2xa-1f", "seq": 7, "point": "reqmod", "method": "GET",
    "url": "http://a.example/", "client": "192.0.2.1", "user": "ann", "action": "block",
    "stage": "access", "rule": "no games", "source": "p.yaml:3", "category": "games", "status": 200,
}  # fmt: skip
# HEADER and STRUCTURED-DATA of RFC 5424 §6, and the rest.
SYNTAX = re.compile(
    rb"<(\d{1,3})>1 (-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) ([\x21-\x7e]{1,255}) "
    rb'([\x21-\x7e]{1,48}) ([\x21-\x7e]{1,128}) ([\x21-\x7e]{1,32}) \[([!#-<>-\\^-~]{1,32})((?: [!#-<>-\\^-~]{1,32}="'
    rb'(?:[^"\\\]]|\\["\\\]])*")*)\] (.*)',
    re.DOTALL,
)
PARAMETER = re.compile(r' (\w+)="((?:[^"\\\]]|\\["\\\]])*)"')


def read(message: bytes) -> tuple[list[str], dict[str, str], str]:
    """What a receiver reads: the head's seven fields with the SD-ID, the parameters, and the text."""
    match = SYNTAX.fullmatch(message)
    assert match is not None, message
    head = [part.decode("ascii") for part in match.groups()[:7]]
    parameters = {key: re.sub(r"\\(.)", r"\1", value) for key, value in PARAMETER.findall(match[8].decode())}
    return head, parameters, match[9].decode("utf-8")


def test_head_structured_data_and_text() -> None:
    head, parameters, text = read(Form("json", "local3", host="proxy1").message(RECORD))
    assert head == [
        str(19 * 8 + 4), RECORD["time"], "proxy1", "icapd", "k3v7q2xa", "block", "icapd@32473",
    ]  # fmt: skip
    assert parameters == {"id": "k3v7q2xa-1f", "seq": "7", "rule": "no games"}
    assert json.loads(text) == RECORD


def test_what_is_no_decision_is_named_by_its_event() -> None:
    record = {
        "time": RECORD["time"], "event": "lost", "source": "k3v7q2xa", "seq": 9, "count": 3, "why": "disk full",
    }  # fmt: skip
    head, parameters, _ = read(Form().message(record))
    assert head[4:6] == ["k3v7q2xa", "lost"]
    assert parameters == {"seq": "9"}
    bare = read(Form(host="").message({"time": "yesterday"}))
    assert bare[0][1:6] == ["-", "-", "icapd", "-", "-"]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"action": "allow"}, 6),
        ({"action": "block"}, 4),
        ({"action": "redirect"}, 5),
        ({"action": "error"}, 3),
        ({"action": "block", "threat": "Eicar"}, 2),
        ({"event": "lost"}, 4),
    ],
)
def test_severity(record: dict[str, str], expected: int) -> None:
    assert severity(record) == expected


def test_every_facility_that_can_be_configured_has_its_number() -> None:
    assert set(FACILITIES) == set(get_args(Facility))
    assert FACILITIES["ftp"] == 11
    assert FACILITIES["local7"] == 23


def test_text_other_than_ascii_begins_with_a_byte_order_mark() -> None:
    assert b"] \xef\xbb\xbfCEF:0|" in Form("cef").message({**RECORD, "user": "Zoë"})
    assert b"] CEF:0|" in Form("cef").message(RECORD)


def test_a_long_url_is_cut_and_the_message_stays_what_its_format_is() -> None:
    record = {**RECORD, "url": "http://a.example/" + "é" * 4000, "findings": [{"threat": "x" * 50}] * 40}
    message = Form("json", limit=UDP_BYTES).message(record)
    _, parameters, text = read(message)
    assert len(message) <= UDP_BYTES
    assert parameters["cut"] == "1"
    found = json.loads(text)
    assert found["url"].endswith(CUT)
    assert "findings" not in found
    assert found["rule"] == RECORD["rule"]
    kept = json.loads(read(Form("json", limit=UDP_BYTES).message({**RECORD, "url": "u" * 3000}))[2])
    assert len(Form("json", limit=UDP_BYTES).message({**RECORD, "url": "u" * 3000})) >= UDP_BYTES - 10
    assert kept["url"].endswith("u" + CUT)


def test_octets_are_counted() -> None:
    assert frame("é".encode()) == b"2 \xc3\xa9"


texts = st.text(max_size=200) | st.text('"\\]|=\t\n\r\x00\u202eé\ud800 a', max_size=300)


@given(form=st.sampled_from(["json", *FORMATS]), limit=st.sampled_from([480, 600, UDP_BYTES]), data=st.data())
def test_any_record_is_one_message(form: str, limit: int, data: st.DataObject) -> None:
    url, user, rule = (data.draw(texts) for _ in range(3))
    identity = data.draw(st.text(max_size=40))
    record = {**RECORD, "url": url, "user": user, "rule": rule, "id": identity, "threat": rule}
    message = Form(form, limit=limit).message(record)
    assert len(message) <= limit
    assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", message)
    assert b"\t" not in message or form == "leef"
    _, parameters, text = read(message)
    if "cut" not in parameters and CUT not in text:
        assert parameters["rule"] == plain(rule)
        assert parameters["id"] == plain(identity)
        assert text.startswith("\ufeff") is not text.isascii()
