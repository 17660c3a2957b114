"""Each format keeps one record on one line, and each value in its field."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import icapd
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
    line = cef({**RECORD, "user": "a=b\\c|d\n\x1b"})
    assert len(re.findall(r"(?<!\\)\|", line.partition("rt=")[0])) == 7
    assert "suser=a\\=b\\\\c|d\\n\\\\x1b " in line
    assert "cs1Label=rule cs1=no games" in line


def test_cef_has_another_key_for_addresses_of_ipv6() -> None:
    assert " src=192.0.2.1 " in cef(RECORD)
    line = cef({**RECORD, "client": "2001:db8::1"})
    assert " c6a2Label=Source IPv6 Address c6a2=2001:db8::1 " in line
    assert " src=" not in line


def test_leef() -> None:
    fields = leef({**RECORD, "user": "dom\\a\tb", "url": "http://a.example/?b=c"}).split("\t")
    assert fields[0] == f"LEEF:1.0|icapd|icapd|{icapd.__version__}|block|devTime=Nov 14 2023 22:13:20.250 GMT"
    assert fields[1] == "devTimeFormat=MMM dd yyyy HH:mm:ss.SSS z"
    assert "usrName=dom\\a\\tb" in fields
    assert "url=http://a.example/?b=c" in fields


def test_ecs_is_ascii_json() -> None:
    line = ecs({**RECORD, "user": HOSTILE, "seq": 4})
    assert line.isascii()
    found = json.loads(line)
    assert found["user.name"] == HOSTILE
    assert found["event.sequence"] == 4


def test_ecs_tells_what_kind_of_event_it_is() -> None:
    kinds = ("event.kind", "event.category", "event.type", "event.outcome")
    told = [json.loads(ecs({**RECORD, **more})) for more in ({}, {"action": "allow"}, {"threat": "Eicar"})]
    assert [[one[kind] for kind in kinds] for one in told] == [
        ["event", ["web", "network"], ["access", "denied"], "success"],
        ["event", ["web", "network"], ["access", "allowed"], "success"],
        ["alert", ["web", "network"], ["access", "denied"], "success"],
    ]
    policy = json.loads(ecs({"time": RECORD["time"], "event": "policy", "digest": "d"}))
    assert policy["event.type"] == ["info"]
    assert "event.outcome" not in policy


@pytest.mark.parametrize("client", ["fe80::1%eth0", "unix:", HOSTILE])
def test_ecs_has_no_ip_that_elasticsearch_would_refuse(client: str) -> None:
    found = json.loads(ecs({**RECORD, "client": client}))
    assert "client.ip" not in found
    assert found["client.address"] == client


def test_kwts_quotes() -> None:
    line = kwts({**RECORD, "user": 'a"b\\'})
    assert line.startswith('type="Response": method="GET": action="Block": blocked_by_rule="access_rules [')
    assert 'http_user_name="a\\"b\\\\"' in line


def test_plain() -> None:
    assert plain("a\x1b[2J\u202e é\n") == "a\\x1b[2J\\u202e é\\n"


def test_browser_response_and_server_have_their_keys() -> None:
    more = {"user_agent": "Mozilla/5.0 (X=1)", "http_status": 206, "mime": "text/html", "server": "192.0.2.9"}
    record = {**RECORD, **more}
    line = cef(record)
    assert " dst=192.0.2.9 " in line
    assert " requestClientApplication=Mozilla/5.0 (X\\=1) " in line
    assert " flexNumber1Label=httpStatus flexNumber1=206" in line
    assert " c6a3Label=Destination IPv6 Address c6a3=::2 " in cef({**record, "server": "::2"})
    assert {"userAgent=Mozilla/5.0 (X=1)", "httpStatus=206", "mimeType=text/html"} <= set(
        leef(record).split("\t")
    )
    found = json.loads(ecs(record))
    assert (found["user_agent.original"], found["http.response.status_code"]) == ("Mozilla/5.0 (X=1)", 206)
    assert found["destination.ip"] == "192.0.2.9"
    assert ': http_user_agent="Mozilla/5.0 (X=1)": ' in kwts(record)


def test_kwts_has_its_own_words() -> None:
    assert ': action="Allow": ' in kwts({**RECORD, "action": "bypass"})
    assert ': blocked_by_rule="": redirected_by_rule="access_rules [no games]": ' in kwts(
        {**RECORD, "action": "redirect"}
    )


def test_what_was_lost_is_told_in_all_formats() -> None:
    record = {"time": RECORD["time"], "event": "lost", "source": "k3v7q2xa", "count": 37, "why": "disk full"}
    lines = {name: form(record) for name, form in FORMATS.items()}
    assert lines.pop("squid") == "1700000000.250 0 - NONE/- 0 NONE event:lost - -/- -"
    assert all("37" in line and "disk full" in line and "lost" in line for line in lines.values())


# Parsers of the formats as receivers have them: by the formats' descriptions, not by what is written here.


def read_squid(line: str) -> dict[str, str]:
    words = line.split(" ")
    assert len(words) == 10
    identity, _, rule = words[8].partition("/")
    found = {"client": words[2], "method": words[5], "user": words[7], "id": identity, "rule": rule}
    return {"url": words[6], **{key: unquote(value, errors="surrogatepass") for key, value in found.items()}}


def read_cef(line: str) -> dict[str, str]:
    head = re.fullmatch(r"CEF:0\|((?:[^|\\]|\\[|\\])*\|){6}(.*)", line)
    assert head is not None
    pairs = re.findall(r"(?:^| )(\w+)=((?:[^=\\]|\\[\\=nr])*?)(?=$| \w+=)", head[2])
    assert " ".join(f"{key}={value}" for key, value in pairs) == head[2]
    plainly = {"n": "\n", "r": "\r"}
    return {
        key: re.sub(r"\\(.)", lambda match: plainly.get(match[1], match[1]), value) for key, value in pairs
    }


def read_leef(line: str) -> dict[str, str]:
    head, _, fields = line.partition("|block|")
    assert head.count("|") == 3
    return dict(pair.split("=", 1) for pair in fields.split("\t"))


def read_kwts(line: str) -> dict[str, str]:
    pairs = re.findall(r'(?:^|: )(\w+)="((?:[^"\\]|\\["\\])*)"', line)
    assert ": ".join(f'{key}="{value}"' for key, value in pairs) == line
    return {key: re.sub(r"\\(.)", r"\1", value) for key, value in pairs}


values = (
    st.text(min_size=1, max_size=60)
    | st.text("ab=|\\\"': \t\r\n\x00\x1b\u202e\u2028é%\ud800;]", min_size=1, max_size=40)
    | st.just(HOSTILE)
)


@given(client=values, user=values, rule=values, method=values, url=values, threat=values)
def test_a_parser_of_the_format_reads_the_values_back(**given: str) -> None:
    record = {**RECORD, **given}
    lines = {name: form(record) for name, form in FORMATS.items()}
    for name, line in lines.items():
        assert (line.replace("\t", "") if name == "leef" else line).isprintable()
    quiet = {key: plain(value) for key, value in given.items()}

    found = read_squid(lines["squid"])
    assert {key: found[key] for key in ("client", "user", "rule", "method")} == {
        key: given[key] for key in ("client", "user", "rule", "method")
    }
    found = read_cef(lines["cef"])
    lined = {
        key: "".join(part if part in {"\r", "\n"} else plain(part) for part in re.split(r"([\r\n])", value))
        for key, value in given.items()
    }
    assert [found[key] for key in ("suser", "request", "cs1", "cs3", "requestMethod")] == [
        lined[key] for key in ("user", "url", "rule", "threat", "method")
    ]
    found = read_leef(lines["leef"])
    assert [found[key] for key in ("src", "usrName", "url", "policy", "threat", "method")] == [
        quiet[key] for key in ("client", "user", "url", "rule", "threat", "method")
    ]
    ecs_found = json.loads(lines["ecs"])
    assert [ecs_found[key] for key in ("client.address", "user.name", "url.full", "rule.name")] == [
        given[key] for key in ("client", "user", "url", "rule")
    ]
    found = read_kwts(lines["kwts"])
    assert [found[key] for key in ("http_user_ip", "http_user_name", "url", "threats", "method")] == [
        quiet[key] for key in ("client", "user", "url", "threat", "method")
    ]
    assert found["blocked_by_rule"] == f"access_rules [{quiet['rule']}]"


def test_urls_keep_their_escapes_in_the_squid_format() -> None:
    assert read_squid(squid({**RECORD, "url": "http://a.example/%20?q=%25"}))["url"] == (
        "http://a.example/%20?q=%25"
    )
