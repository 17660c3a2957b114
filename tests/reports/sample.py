"""Records of an invented school's week, the same each time: for tests, and for the picture in the documentation."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from icapd.events.rows import Moments

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 86_400
END = 1_795_392_000  # Mon 23 Nov 2026 00:00 UTC
WEEK = END - 7 * DAY
_USERS = (
    "anna",
    "bertil",
    "chiara",
    "dmitri",
    "edda",
    "farid",
    "greta",
    "hugo",
    "iris",
    "jonas",
    "katja",
    "luis",
)
_SITES = (
    ("en.wikipedia.org", 30), ("maps.example.org", 14), ("learn.school.example", 40), ("mail.example.com", 22),
    ("video.example.net", 18), ("cdn.example.net", 34), ("news.example.com", 9), ("shop.example.com", 5),
    ("social.example", 6), ("games.example", 3), ("casino.example", 2), ("files.example", 4),
)  # fmt: skip
_RULES = {
    "games.example": ("no games in lessons", "block", "Games"),
    "casino.example": ("no gambling", "block", "Gambling"),
    "social.example": ("social media in breaks only", "block", "Social networks"),
    "shop.example.com": ("the shop has moved", "redirect", None),
}
_THREATS = ("Win.Test.EICAR_HDB-1", "Doc.Downloader.Emotet-9910", "Phishing.Heuristics.Email")
POLICY = """lists:
  social: {domains: [lists/social.txt], category: Social networks}

bypass:
  - name: updates are not filtered
    when: {host: [updates.example], method: [GET, HEAD]}

access:
  - name: no games in lessons
    when: {host: [games.example], schedule: ["mon-fri 08:00-15:00 Europe/Berlin"]}
    action: block
  - name: no gambling
    when: {host: [casino.example]}
    action: block
  - name: social media in breaks only
    when: {list: [social], schedule: ["mon-fri 08:00-15:00 Europe/Berlin"]}
    action: block
  - {name: the shop has moved, when: {host: [shop.example.com]}, action: {redirect: "https://new.example/"}}
  - {name: no old browsers, when: {user_agent: ["*MSIE*"]}, action: block}
  - {name: no uploads, mode: shadow, when: {method: [POST], host: [files.example]}, action: block}

protection:
  - {name: macros of the office, when: {client: [10.1.0.0/16]}, scan: {macro: skip}}
"""


def records(count: int, *, seed: int = 7) -> Iterator[dict[str, Any]]:
    """Yield `count` records of the week before END in the order of time, as the log has them."""
    rng = random.Random(seed)
    moments = Moments()
    times = sorted(_time(rng) for _ in range(count))
    numbers = {"k3v7q2xa": 0, "m8d2w5pz": 0}
    yield _event(moments, WEEK + 1, "k3v7q2xa", 1, digest="5bf2a9c01d3e4f67")
    yield _event(moments, WEEK + 1, "m8d2w5pz", 1, digest="5bf2a9c01d3e4f67")
    for life in numbers:
        numbers[life] = 1
    for time in times:
        life = rng.choice(tuple(numbers))
        numbers[life] += 1
        yield _record(rng, moments, time, life, numbers[life])


def _event(moments: Moments, time: float, source: str, seq: int, **more: object) -> dict[str, Any]:
    return {"time": moments.text(time), "event": "policy", "source": source, "seq": seq, **more}


def _time(rng: random.Random) -> float:
    """A moment of the week: mornings and afternoons of school days, little at night and on the weekend."""
    while True:
        time = WEEK + rng.random() * 7 * DAY
        hour, weekday = time % DAY / 3600, int(time // DAY + 3) % 7
        busy = math.exp(-((hour - 9.5) ** 2) / 6) + 0.5 * math.exp(-((hour - 16) ** 2) / 12) + 0.02
        if rng.random() < busy * (0.15 if weekday >= 5 else 1):
            return time


def _record(rng: random.Random, moments: Moments, time: float, life: str, seq: int) -> dict[str, Any]:
    host = rng.choices([name for name, _ in _SITES], [weight for _, weight in _SITES])[0]
    who = rng.randrange(len(_USERS)) if rng.random() < 0.8 else rng.randrange(4)
    point = "respmod" if rng.random() < 0.35 and host not in _RULES else "reqmod"
    method = "CONNECT" if point == "reqmod" and rng.random() < 0.4 else "GET"
    record: dict[str, Any] = {
        "time": moments.text(time),
        "id": f"{life}-{seq:x}",
        "point": point,
        "method": method,
        "url": f"{host}:443" if method == "CONNECT" else f"https://{host}/{rng.randrange(10**6):x}",
        "client": f"10.{who % 3}.0.{10 + who}",
        "user": None if host == "cdn.example.net" else _USERS[who],
        "action": "allow",
        "stage": "default",
        "rule": None,
        "source": None,
        "category": None,
        "status": 204,
        "seq": seq,
    }
    if host in _RULES and rng.random() < 0.75:
        name, action, category = _RULES[host]
        line = POLICY[: POLICY.index(name)].count("\n") + 1
        record |= {"action": action, "stage": "access", "rule": name, "category": category, "status": 200}
        record["source"] = f"/etc/icapd/policy.yaml:{line}"
    elif point == "respmod":
        _scan(rng, record)
    elif host == "files.example" and method == "GET":
        record["shadow"] = [{"rule": "no uploads", "source": "/etc/icapd/policy.yaml:21", "action": "block"}]
    return record


def _scan(rng: random.Random, record: dict[str, Any]) -> None:
    record["scan"] = rng.choice(("scanned", "scanned", "cached"))
    chance = rng.random()
    if chance < 0.006:
        threat = rng.choice(_THREATS)
        record |= {"action": "block", "stage": "default_protection", "threat": threat, "status": 200}
        record["findings"] = [{"kind": "malware", "threat": threat, "by": "clamd", "where": ""}]
        if chance < 0.001:
            record["late"] = True
    elif chance < 0.01:
        record["unscanned"], record["errors"] = ["clamd"], [{"by": "clamd", "text": "timed out"}]
