"""Each format keeps one record on one line, and each value in its field."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from icapd.events.formats import FORMATS, cef, ecs, kwts, leef, plain, squid

HOSTILE = 'a|b=c\\d"e f\r\ng\x1b[2J\u202eh\ti\x00\u2028j'
RECORD: dict[str, Any] = {
    "time": "2023-11-14T22:13:20.250Z", "id": "k3v7q2xa-1f", "point": "respmod", "method": "GET",
    "url": "http://a.example/", "client": "192.0.2.1", "user": "ann", "action": "block",
    "stage": "access", "rule": "no games", "source": "p.yaml:3", "category": "games", "status": 200,
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_values_stay_on_one_line(name: str) -> None:
    fields = ("url", "user", "rule", "method", "client", "category", "threat")
    line = FORMATS[name]({**RECORD, **dict.fromkeys(fields, HOSTILE)})
    assert line.replace("\t", "").isprintable()
    assert "\u202e" not in line
    if name != "leef":
        assert "\t" not in line


def test_a_ticket_that_ended_badly_has_a_line_too() -> None:
    record = {"time": RECORD["time"], "event": "ticket-misused", "id": "a-1", "client": "::1", "host": "h"}
    assert all(form(record) for form in FORMATS.values())


def test_squid() -> None:
    assert squid(RECORD) == (
        "1700000000.250 0 192.0.2.1 TCP_DENIED/200 0 GET http://a.example/ ann k3v7q2xa-1f/no%20games -"
    )
    assert len(squid({**RECORD, "user": "a b c", "url": HOSTILE}).split(" ")) == 10


def test_cef_escapes_equals_and_backslashes_of_values() -> None:
    line = cef({**RECORD, "user": "a=b\\c|d\n"})
    assert len(re.findall(r"(?<!\\)\|", line.partition("rt=")[0])) == 7
    assert "suser=a\\=b\\\\c|d\\\\n " in line
    assert "cs1Label=rule cs1=no games" in line


def test_leef() -> None:
    fields = leef({**RECORD, "user": "a\tb"}).split("\t")
    assert fields[0].startswith("LEEF:1.0|icapd|icapd|")
    assert "usrName=a\\\\tb" in fields


def test_ecs_is_ascii_json() -> None:
    line = ecs({**RECORD, "user": HOSTILE})
    assert line.isascii()
    assert json.loads(line)["user.name"] == HOSTILE


def test_kwts_quotes() -> None:
    line = kwts({**RECORD, "user": 'a"b\\'})
    assert line.startswith('type="Response": method="GET": action="Block": blocked_by_rule="access_rules [')
    assert 'http_user_name="a\\"b\\\\"' in line


def test_plain() -> None:
    assert plain("a\x1b[2J\u202e é\n") == "a\\x1b[2J\\u202e é\\n"
