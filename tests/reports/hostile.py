"""What clients send to whoever reads a report: in hosts, names, users, threats, and rules of a careless policy."""

from __future__ import annotations

from typing import Any

from tests.events.recorded import record

ESCAPES = "\x1b[2J\x1b]0;owned\x07"
BIDI = "\u202egnp.exe\u2066"
MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
LONG = "a" * 4096
VALUES = (MARKUP, ESCAPES, BIDI, "a\r\nb", LONG, "\ud800", "\u2028x", "</style><b>", "{url}", "' onload='x")


def records() -> list[dict[str, Any]]:
    """Return a record for each, with it wherever a record has text."""
    return [
        record(
            number,
            url=f"http://{value}/{value}",
            client=value,
            user=value,
            action="block",
            stage="access",
            rule=value,
            source=f"{value}:3",
            category=value,
            threat=value,
            findings=[{"kind": "malware", "threat": value, "by": value, "where": value}],
            errors=[{"by": value, "text": value}],
            unscanned=[value],
            shadow=[{"rule": value, "source": value, "action": value}],
        )
        for number, value in enumerate(VALUES, 1)
    ] + [
        {
            "time": record(30)["time"],
            "event": "lost",
            "source": "k3v7q2xa",
            "count": 2,
            "why": MARKUP + ESCAPES,
        },
        {"time": record(31)["time"], "event": "policy", "source": "k3v7q2xa", "seq": 31, "digest": MARKUP},
    ]
