"""What `icapd why` says of each kind of record; whatever one holds, a line stays a line."""

from __future__ import annotations

from typing import Any

import pytest

from icapd.cli.story import Story, Today, as_object, as_text
from icapd.reports.joined import Joined
from tests.events.recorded import record
from tests.reports import hostile

TODAY = Today(None, "policy.yaml:1: access must be a list")


def story_of(one: dict[str, Any], **given: Any) -> Story:
    values: dict[str, Any] = {
        "policy": None,
        "joined": (),
        "past": None,
        "written": None,
        "explanation": None,
    }
    return Story(one, **{**values, "lacking": (), "today": TODAY, **given})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "  decided    allow (default): no rule decided"),
        ({}, "  answered   ICAP 204: it went on as it was"),
        ({"status": 0}, "  answered   the client left before it was answered"),
        ({"status": 200}, "  answered   ICAP 200: by a message of icapd, or a changed one"),
        ({"user": None, "client": None}, "  who        not told by Squid, or not recorded"),
        ({"user": None}, "  who        10.1.2.1"),
        ({"method": "CONNECT"}, "  asked for  a tunnel (CONNECT)"),
        ({"point": "respmod"}, "  asked for  the response, which Squid asked about (RESPMOD)"),
        (
            {"action": "error", "stage": "error"},
            "  decided    error: icapd failed to decide; its diagnostics say why",
        ),
        (
            {"stage": "default_protection", "action": "block"},
            "  decided    block, by the default protection policy (no rule)",
        ),
        (
            {"rule": "r", "stage": "access", "source": "p:3", "action": "block"},
            '  decided    block, by the rule "r" (access, p:3)',
        ),
        (
            {"rule": "r", "stage": "access", "source": "p:3"},
            "The rule as it was is not known: its policy's text was not kept.",
        ),
        (
            {"user_agent": "Mozilla/5.0", "http_status": 206, "mime": "text/html"},
            "  browser    Mozilla/5.0\n  response   206 text/html\n",
        ),
        ({"scan": "scanned"}, "  scanned    its body was scanned, nothing was found"),
        ({"scan": "cached"}, "  scanned    its body was known from an earlier scan, nothing was found"),
        (
            {
                "findings": [{"kind": "malware", "threat": "EICAR", "by": "clamd", "where": "a.zip"}],
                "findings_more": 3,
            },
            "  found      malware EICAR (by clamd) in a.zip\n             and 3 more",
        ),
        (
            {"errors": [{"by": "clamd", "text": "timed out"}], "unscanned": ["clamd"]},
            "  unscanned  clamd could not look (timed out): it passed unseen by it",
        ),
        (
            {"errors": [{"by": "clamd", "text": "timed out"}], "unscanned": []},
            "  unscanned  clamd could not look (timed out): that counted against it",
        ),
        (
            {"late": True},
            "  late       part of it had been passed on before it was blocked: the transfer was cut",
        ),
        ({"tls": "splice", "tls_rule": "banks"}, "  tunnel     splice, by banks"),
        (
            {"shadow": [{"rule": "trial", "source": "p:4", "action": "block"}]},
            "  shadow     trial would have: block (p:4)",
        ),
        ({}, "Today's policy cannot be loaded: policy.yaml:1: access must be a list"),
    ],
)
def test_each_thing_is_said(given: dict[str, Any], told: str) -> None:
    assert told in as_text(story_of(record(1, **given)), None)


def test_an_event_is_no_decision() -> None:
    one = {
        "time": record(1)["time"],
        "event": "ticket-unused",
        "id": "k-1",
        "client": "10.1.2.3",
        "host": "a.example",
    }
    text = as_text(story_of(one), None)
    assert text.startswith("TICKET-UNUSED  a.example\n")
    assert "answered" not in text


def test_records_with_it_are_told_with_what_was_found() -> None:
    other = record(2, point="respmod", action="block", stage="default_protection", scan="scanned")
    other["findings"] = [{"kind": "malware", "threat": "EICAR", "by": "clamd", "where": ""}]
    text = as_text(story_of(record(1), joined=(Joined(other, "its response", 1.04, certain=False),)), None)
    assert (
        "With it:\n"
        "  1.0 s later    its response, probably (same client, user and address)\n"
        "                 k3v7q2xa-2: block, by the default protection policy (no rule)\n"
        "                 scanned    its body was scanned\n"
        "                 found      malware EICAR (by clamd)\n"
    ) in text


@pytest.mark.parametrize("one", hostile.records(), ids=range(len(hostile.records())))
def test_hostile_records_break_no_line(one: dict[str, Any]) -> None:
    joined = (Joined(one, "its response", 0, certain=True),)
    text = as_text(story_of(one, written="a\x1b[2J\nb", joined=joined), None)
    assert all(line.isprintable() for line in text.split("\n"))
    as_object(story_of(one), None)
