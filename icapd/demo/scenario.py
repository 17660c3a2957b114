"""What the demo asks and what must come of it, as data: the policy, the requests, the outcomes."""

from __future__ import annotations

from dataclasses import dataclass

from icapd.demo.plan import BUMP, ORIGIN, PLAIN, Plan

NAMES = (
    "allowed.demo.test",
    "blocked.demo.test",
    "moved.demo.test",
    "updates.demo.test",
    "paths.demo.test",
    "bank.demo.test",
    "help.demo.test",
)

# $http and $https are the origins' ports.
POLICY = """\
bypass:
  - name: update server
    when: {host: [updates.demo.test]}
access:
  - name: no gambling
    when: {host: [blocked.demo.test, updates.demo.test]}
    action: block
  - name: moved away
    when: {host: [moved.demo.test]}
    action: {redirect: "https://help.demo.test:$https/?from={url}"}
  - name: no downloads
    when: {url: ["https://paths.demo.test:$https/downloads", "http://paths.demo.test:$http/downloads"]}
    action: block
  - name: old pages
    when: {url: ["https://paths.demo.test:$https/old"]}
    action: {redirect: "https://help.demo.test:$https/?old={url}"}
tls:
  - name: banking
    when: {host: [bank.demo.test]}
    action: splice
  - name: rest
    action: bump
"""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: `url` with $http and $https for the origins' ports; `trust` is BUMP or ORIGIN."""

    url: str
    port: str = BUMP
    trust: str = BUMP
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What must come of it.

    `status` is the HTTP status in the end (0: none came); `ended` says that curl reports an ended connection;
    `shows` and `location` are texts that must be in the page and in the Location field;
    `action` and `rule` are what icapd's decision log must say, None if icapd must not have been asked;
    `contacted` whether a TCP connection to an origin was made.
    """

    status: int
    action: str | None
    rule: str | None = None
    method: str = "GET"
    ended: bool = False
    shows: str = ""
    location: str = ""
    contacted: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table."""

    title: str
    ask: Ask
    outcome: Outcome


_PAGE = Outcome(200, "allow", shows="origin itself", contacted=True)
_FORGED = "X-Icapd-Bump: splice"

CASES = (
    Case("allowed", Ask("http://allowed.demo.test:$http/"), _PAGE),
    Case(
        "blocked",
        Ask("http://blocked.demo.test:$http/"),
        Outcome(403, "block", "no gambling", shows="no gambling"),
    ),
    Case(
        "redirected",
        Ask("http://moved.demo.test:$http/a?b=1"),
        Outcome(
            302, "redirect", "moved away", location="https://help.demo.test:$https/?from=http%3A%2F%2Fmoved"
        ),
    ),
    Case(
        "bypassed",
        Ask("http://updates.demo.test:$http/"),
        Outcome(200, "bypass", "update server", shows="origin itself", contacted=True),
    ),
    Case("allowed, decrypted", Ask("https://allowed.demo.test:$https/"), _PAGE),
    Case(
        "CONNECT denied: page in place",
        Ask("https://blocked.demo.test:$https/"),
        Outcome(403, "block", "no gambling", "CONNECT", shows="no gambling"),
    ),
    Case(
        "CONNECT denied: redirect",
        Ask("https://moved.demo.test:$https/"),
        Outcome(
            302,
            "redirect",
            "moved away",
            "CONNECT",
            location="https://help.demo.test:$https/?from=https%3A%2F%2Fmoved.demo.test%3A$https%2F",
        ),
    ),
    Case(
        "bypassed, decrypted",
        Ask("https://updates.demo.test:$https/"),
        Outcome(200, "bypass", "update server", "CONNECT", shows="origin itself", contacted=True),
    ),
    Case(
        "URL rule in the tunnel: page",
        Ask("https://paths.demo.test:$https/downloads/x"),
        Outcome(403, "block", "no downloads", shows="no downloads"),
    ),
    Case(
        "URL rule in the tunnel: redirect",
        Ask("https://paths.demo.test:$https/old/x"),
        Outcome(
            302, "redirect", "old pages", location="https://help.demo.test:$https/?old=https%3A%2F%2Fpaths"
        ),
    ),
    Case("same site, other URL", Ask("https://paths.demo.test:$https/fine"), _PAGE),
    Case(
        "spliced, origin's certificate",
        Ask("https://bank.demo.test:$https/", trust=ORIGIN),
        Outcome(200, "allow", method="CONNECT", shows="origin itself", contacted=True),
    ),
    Case(
        "no ssl-bump: allowed",
        Ask("https://allowed.demo.test:$https/", PLAIN, ORIGIN),
        Outcome(200, "allow", method="CONNECT", shows="origin itself", contacted=True),
    ),
    Case(
        "no ssl-bump: blocked",
        Ask("https://blocked.demo.test:$https/", PLAIN, ORIGIN),
        Outcome(0, "block", "no gambling", "CONNECT", ended=True),
    ),
    Case(
        "forged X-Icapd header",
        Ask("http://allowed.demo.test:$http/", options=("-H", _FORGED)),
        Outcome(403, None),
    ),
    Case(
        "forged header on CONNECT",
        Ask("https://bank.demo.test:$https/", options=("--proxy-header", _FORGED)),
        Outcome(403, None),
    ),
    Case("loopback", Ask("http://127.0.0.1:$icap/"), Outcome(403, None)),
    Case("loopback by CONNECT", Ask("https://localhost:$https/"), Outcome(403, None)),
)

PLAN = Plan(policy=POLICY, names=NAMES)
