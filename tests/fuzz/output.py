"""What icapd writes of what it was sent: decision lines and their formats, pages, locations, headers, tables."""

from __future__ import annotations

import csv
import functools
import io
import json
from typing import Any

from hypothesis import strategies as st

from icapd.events import decision_line
from icapd.events.formats import FORMATS
from icapd.events.privacy import Privacy
from icapd.events.search import COLUMNS, Search, as_csv, as_table
from icapd.http import RequestHead
from icapd.infection import infection_headers
from icapd.macros import MACROS, Template
from icapd.pages import MAX_LOCATION, MAX_PAGE, Pages
from icapd.policy import Block, Decision
from icapd.transaction import Client, Point, Transaction
from icapd.verdicts import Finding, Kind
from tests.fuzz.mutation import spoilt_text
from tests.fuzz.targets import target

TEXT = spoilt_text(
    "http://a.example/x?y=<script>alert(1)</script>", "ann", "192.0.2.1", "a\r\nSet-Cookie: x", "javascript:alert(1)", '"><img src=x onerror=a>',
    "{url}{rule}", "%s%(x)s%%", "=cmd|'/c calc'!A0", "\x1b]0;x\x07", "a|b=c\\d", "\u202etxt.exe",
    more=("\r\n", "\x85", "\u2028", "</main>", "&lt;", "'", "`", "{user}"),
)  # fmt: skip
FIELDS = ("method", "url", "client", "user", "rule", "category", "threat", "where", "id")
TOLD = st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXT))


def _decided(told: dict[str, str]) -> Decision:
    findings = tuple(
        Finding(kind, told["threat"], told["user"], told["where"]) for kind in (Kind.MALWARE, Kind.LIMIT)
    )
    return Decision(Block(), "protection", category=told["category"], findings=findings)


def _line(told: dict[str, str]) -> str:
    tx = Transaction(
        Point.REQMOD,
        Client(told["client"], told["user"]),
        RequestHead(b"GET http://a.example/ HTTP/1.1\r\n\r\n"),
        now=1_700_000_000.25,
    )
    line = decision_line(
        tx, _decided(told), decision_id="k3v7q2xa-1f", url=told["url"], status=200, scan="scanned"
    )
    return line + "}\n"


@target("decision-line", TOLD)
def decision(told: dict[str, str]) -> None:
    """One line of printable ASCII that JSON reads back."""
    line = _line(told)
    assert line.endswith("}\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    record = json.loads(line)
    assert (record["url"], record["client"], record["user"]) == (
        told["url"][:4096],
        told["client"],
        told["user"],
    )
    assert record["category"] == told["category"]
    assert list(record)[:3] == ["time", "id", "point"]


@target("formats", TOLD)
def formats(told: dict[str, str]) -> None:
    """Each format keeps to its line and its fields; ECS reads back."""
    record = {**json.loads(_line(told)), **{name: told[name] for name in ("rule", "method", "threat", "id")}}
    for name, form in FORMATS.items():
        line = form(record)
        assert line.replace("\t", "" if name == "leef" else "\t").isprintable(), name
    squid = FORMATS["squid"](record).split(" ")
    assert len(squid) == 10
    assert len(FORMATS["leef"](record).split("\t")) <= 15
    ecs = json.loads(FORMATS["ecs"](record))
    assert ecs.get("user.name", "") == told["user"]
    kept = Privacy(strip_query=True, anonymise_client=True, users="hash", key=b"k" * 16).apply(record)
    assert not told["user"] or kept["user"] != told["user"]
    assert "?" not in kept["url"]
    Search(host="a.example", user="x", rule="y").finds(record)


@functools.cache
def pages() -> tuple[Pages, Pages]:
    return Pages.load(None), Pages.notice()


VALUES = st.fixed_dictionaries(dict.fromkeys(sorted(MACROS), TEXT))


@target("pages", VALUES, spare=2 << 20)
def page(values: dict[str, str]) -> None:
    """A page has the same tags whatever stands in it, on one line."""
    for one in pages():
        html = one.block(values)
        assert len(html) <= MAX_PAGE
        assert not set(b"\r\n\0\x1b") & set(html)
        plain = one.block(dict.fromkeys(MACROS, "x"))
        opened, usual = html.count(b"<"), plain.count(b"<")
        assert opened <= usual
        assert b"<script" not in html.lower()
        assert html.count(b'"') <= plain.count(b'"')


LOCATIONS = tuple(
    map(
        Template.parse,
        ("https://b.example/?u={url}&r={rule}#{user}", "https://b.example/{host}/{user_agent}", "{url}"),
    )
)


@target("locations", st.tuples(st.sampled_from(range(len(LOCATIONS))), VALUES))
def location(value: tuple[int, dict[str, str]]) -> None:
    template = LOCATIONS[value[0]]
    text = Pages.location(template, value[1])
    assert text.isascii()
    assert text.isprintable()
    assert not set(' "<>\\') & set(text)
    assert len(text) <= MAX_LOCATION
    assert text.count("&") == template.text.count("&")
    assert text.count("/") == template.text.count("/")
    assert text.count("#") == template.text.count("#")


@target("infection-headers", TOLD)
def infection(told: dict[str, str]) -> None:
    decided: Any = _decided(told)
    for name, value in infection_headers(decided):
        assert not set(b"\r\n\0") & set(name + value)
        assert value.isascii()
        assert len(value) <= 20_000


@target("csv", st.lists(TEXT, min_size=1, max_size=5))
def cells(values: list[str]) -> None:
    record = dict(zip(COLUMNS, values, strict=False))
    (row,) = csv.reader(io.StringIO(as_csv(record)))
    assert len(row) == len(COLUMNS)
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    assert as_table(record).isprintable()
