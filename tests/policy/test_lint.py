"""The linter finds what is there, line by line, and says nothing of what is sound."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from icapd.data import shared
from icapd.policy import load_policy
from icapd.policy.finding import arguments_of
from icapd.policy.lint import lint
from icapd.transaction import Point
from tests.policy.asking import policy
from tests.policy.linting import codes, decides, findings, locate

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = "action: block"
MOVED = 'action: {redirect: "https://new.example/"}'
SPLICE = "tls:\n  - {when: {host: [bank.example]}, action: splice}\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # CONNECT is caught before the rule that shows something.
        (
            "access:\n"
            f"  - {{name: no tunnel, when: {{method: [CONNECT], host: [old.example]}}, {BLOCK}}}\n"
            f"  - {{name: moved, when: {{host: [old.example]}}, {MOVED}}}\n",
            ["3 connect-caught"],
        ),
        (
            "access:\n"
            f"  - {{name: no tunnel, when: {{method: [CONNECT], host: [a.example]}}, {MOVED}}}\n"
            f"  - {{name: blocked, when: {{host: [a.example]}}, {BLOCK}}}\n",
            ["3 connect-caught"],
        ),
        # The same page either way: nothing to say.
        (
            "access:\n"
            f"  - {{name: no tunnel, when: {{method: [CONNECT], host: [a.example]}}, {BLOCK}}}\n"
            f"  - {{name: blocked, when: {{host: [a.example]}}, {BLOCK}}}\n",
            [],
        ),
        (
            "access:\n"
            f"  - {{name: no tunnel, when: {{method: [CONNECT], port: [1-442]}}, {BLOCK}}}\n"
            f"  - {{name: moved, when: {{host: [old.example]}}, {MOVED}}}\n",
            [],
        ),
        # A path needs what is inside the tunnel.
        (f"access:\n  - {{when: {{url: [bank.example/x]}}, {BLOCK}}}\n{SPLICE}", ["2 spliced"]),
        (f"access:\n  - {{when: {{host: [bank.example]}}, {BLOCK}}}\n{SPLICE}", []),
        (f"access:\n  - {{when: {{url: [http://bank.example/x]}}, {BLOCK}}}\n{SPLICE}", []),
        (f"access:\n  - {{when: {{url: [other.example/x]}}, {BLOCK}}}\n{SPLICE}", []),
        (
            f"access:\n  - {{when: {{host: [bank.example], mime: [video/*]}}, {BLOCK}}}\n{SPLICE}",
            ["2 spliced"],
        ),
        # What the seed advises, and what it costs.
        (
            f"access:\n  - {{when: {{host: [a.example]}}, unless: [{{method: [CONNECT]}}], {BLOCK}}}\n",
            ["2 excludes-connect"],
        ),
        (f"access:\n  - {{when: {{host: [a.example]}}, unless: [{{method: [POST]}}], {BLOCK}}}\n", []),
        ("bypass:\n  - {when: {method: [CONNECT]}}\n", ["2 bypasses-connect"]),
        ("bypass:\n  - {when: {host: [a.example]}}\n", []),
        # Never reached.
        (
            f"access:\n  - {{when: {{host: [example]}}, {BLOCK}}}\n  - {{when: {{host: [a.example]}}, {BLOCK}}}\n",
            ["3 shadowed"],
        ),
        (
            f"access:\n  - {{when: {{host: [example]}}, {BLOCK}}}\n"
            "  - {when: {host: [a.example]}, action: allow}\n",
            ["3 contradicted"],
        ),
        (
            "bypass:\n  - {when: {host: [a.example]}}\n"
            f"access:\n  - {{when: {{host: [a.example], client: [10.0.0.0/8]}}, {BLOCK}}}\n",
            ["4 contradicted"],
        ),
        (
            f"access:\n  - {{when: {{client: [10.0.0.0/8]}}, {BLOCK}}}\n"
            f"  - {{when: {{client: [10.1.0.0-10.2.0.9]}}, {MOVED}}}\n",
            ["3 contradicted"],
        ),
        (f"access:\n  - {{{BLOCK}}}\n  - {{when: {{host: [a.example]}}, {BLOCK}}}\n", ["3 shadowed"]),
        (
            f"access:\n  - {{when: {{host: [example]}}, unless: [{{user: [x]}}], {BLOCK}}}\n"
            f"  - {{when: {{host: [a.example]}}, {BLOCK}}}\n",
            [],
        ),
        (
            f"access:\n  - {{when: {{host: [example]}}, mode: shadow, {BLOCK}}}\n"
            f"  - {{when: {{host: [a.example]}}, {BLOCK}}}\n",
            [],
        ),
        (
            f"access:\n  - {{when: {{host: [example], user: [x]}}, {BLOCK}}}\n"
            f"  - {{when: {{host: [a.example]}}, {BLOCK}}}\n",
            [],
        ),
        (
            "tls:\n  - {when: {host: [example]}, action: splice}\n  - {when: {host: [a.example]}, action: bump}\n",
            ["3 shadowed"],
        ),
        # Never true.
        (f"access:\n  - {{when: {{method: [CONNECT], path: [/x]}}, {BLOCK}}}\n", ["2 never-matches"]),
        (f"access:\n  - {{when: {{method: [CONNECT], mime: [text/html]}}, {BLOCK}}}\n", ["2 never-matches"]),
        (f"access:\n  - {{when: {{method: [CONNECT], scheme: [http]}}, {BLOCK}}}\n", ["2 never-matches"]),
        (f"access:\n  - {{when: {{method: [CONNECT, GET], path: [/x]}}, {BLOCK}}}\n", []),
        (
            f"access:\n  - {{when: {{host: [a.example]}}, unless: [{{host: [example]}}], {BLOCK}}}\n",
            ["2 never-matches"],
        ),
        (f"access:\n  - {{when: {{host: [a.example], url: [b.example/x]}}, {BLOCK}}}\n", ["2 never-matches"]),
        (f"access:\n  - {{when: {{host: [a.example], url: [w.a.example/x]}}, {BLOCK}}}\n", []),
        ("tls:\n  - {when: {url: [a.example/x]}, action: splice}\n", ["2 never-matches"]),
        # Redirects that lead nowhere.
        (
            'access:\n  - {when: {host: [a.example]}, action: {redirect: "http://w.a.example/"}}\n',
            ["2 redirect-loop"],
        ),
        (
            'access:\n  - {when: {host: [a.example]}, action: {redirect: "https://a.example/?u={url}"}}\n',
            ["2 redirect-loop"],
        ),
        (
            'access:\n  - {when: {host: [a.example]}, action: {redirect: "http://b.example/"}}\n'
            '  - {when: {host: [b.example]}, action: {redirect: "http://a.example/"}}\n',
            ["2 redirect-loop", "3 redirect-loop"],
        ),
        (
            'access:\n  - {when: {host: [a.example]}, action: {redirect: "https://b.example/"}}\n'
            f"  - {{when: {{host: [b.example], method: [CONNECT]}}, {BLOCK}}}\n",
            ["2 redirect-blocked"],
        ),
        (
            'access:\n  - {when: {host: [a.example]}, action: {redirect: "http://b.example/"}}\n'
            f"  - {{when: {{host: [b.example], method: [CONNECT]}}, {BLOCK}}}\n",
            [],
        ),
        (
            "access:\n  - {when: {host: [a.example]}, unless: [{path: [/why]}],"
            ' action: {redirect: "http://a.example/why"}}\n',
            [],
        ),
        # What waits for the response lets the request out.
        (
            f"access:\n  - {{when: {{mime: [video/*]}}, {BLOCK}}}\n  - {{when: {{user: [bob]}}, {BLOCK}}}\n",
            ["2 lets-out"],
        ),
        (
            f"access:\n  - {{when: {{user: [bob]}}, {BLOCK}}}\n  - {{when: {{mime: [video/*]}}, {BLOCK}}}\n",
            [],
        ),
        (
            f"access:\n  - {{when: {{host: [v.example], mime: [video/*]}}, {BLOCK}}}\n"
            "  - {when: {host: [v.example]}, action: allow}\n"
            f"  - {{{BLOCK}}}\n",
            [],
        ),
        (
            "access:\n  - {when: {url: [bank.example/ok]}, action: allow}\n"
            f"  - {{when: {{host: [bank.example]}}, {BLOCK}}}\n{SPLICE}",
            ["2 opens-tunnel"],
        ),
        (
            "access:\n  - {when: {url: [a.example/ok]}, action: allow}\n"
            f"  - {{when: {{host: [a.example]}}, {BLOCK}}}\n{SPLICE}",
            [],
        ),
        # Workspaces.
        (
            "workspaces:\n  - {name: a, when: {client: [10.0.0.0/8]}}\n"
            "  - {name: b, when: {client: [10.1.0.0/16]}}\n",
            ["3 workspace-covered"],
        ),
        (
            "workspaces:\n  - {name: a, when: {client: [10.1.0.0/16]}}\n"
            "  - {name: b, when: {client: [10.0.0.0/8]}}\n",
            [],
        ),
        (
            "workspaces:\n  - {name: a, when: {client: [10.0.0.0/8]}}\n  - {name: b, when: {user: [x]}}\n",
            ["3 workspace-overlap"],
        ),
        (
            "workspaces:\n  - {name: a, when: {client: [10.0.0.0/8]}}\n  - {name: b, when: {client: [11.0.0.0/8]}}\n",
            [],
        ),
    ],
)
def test_findings(tmp_path: Path, text: str, found: list[str]) -> None:
    assert codes(tmp_path, text) == found


def test_lists(tmp_path: Path) -> None:
    text = (
        "lists:\n  used: {domains: [used]}\n  unused: {domains: [used]}\n  empty: {domains: [empty]}\n"
        "access:\n  - {when: {list: [used]}, action: block}\n  - {when: {list: [empty]}, action: block}\n"
    )
    found = findings(tmp_path, text, used="a.example\nb c d\n", empty="# nothing\n")
    assert [f"{one.line} {one.level} {one.code}" for one in found] == [
        "2 note ignored-lines",
        "3 warning unused-list",
        "3 note ignored-lines",
        "4 warning empty-list",
        "7 warning never-matches",
    ]
    assert "1 lines ignored" in found[0].what
    assert "used, line 2" in found[0].why


def test_a_finding_shows_the_request_that_proves_it(tmp_path: Path) -> None:
    text = (
        "bypass:\n  - {name: free, when: {method: [CONNECT]}}\n"
        "access:\n  - {name: wide, when: {host: [example]}, action: block}\n"
        "  - {name: narrow, when: {host: [a.example], client: [10.1.0.0/16], user: [bob]}, action: allow}\n"
    )
    found = {one.code: one for one in findings(tmp_path, text)}
    loaded = policy(tmp_path, text)
    assert decides(loaded, found["bypasses-connect"]) == "free"
    assert decides(loaded, found["contradicted"]) == "wide"
    assert found["contradicted"].command("p.yaml") == (
        "icapd explain -c p.yaml --client 10.1.0.0 --user bob --at 2026-01-05T10:00+00:00 GET http://a.example/"
    )
    assert found["contradicted"].text() == (
        f"{tmp_path / 'policy.yaml'}:5: warning: rule 'narrow' is never reached — 'wide' "
        f"({tmp_path / 'policy.yaml'}:4) holds wherever it does and comes first, and says otherwise — move it "
        "above the other, or make the other narrower (`unless`)"
    )


def test_a_response_is_shown_with_what_it_needs(tmp_path: Path) -> None:
    text = (
        "access:\n  - {name: big, when: {size: ['>10MB']}, action: block}\n"
        "  - {name: bigger, when: {size: ['>10MB'], mime: [video/mp4]}, action: allow}\n"
    )
    (found,) = findings(tmp_path, text)
    assert found.code == "contradicted"
    assert found.proof is not None
    arguments = arguments_of(found.proof)
    assert "Content-Type: video/mp4" in arguments
    assert "--response-size" in arguments
    assert found.proof.transaction(Point.RESPMOD).body is not None


SOUND = ["default", "examples/five-rules", "examples/school", "examples/company", "examples/guest"]


@pytest.mark.parametrize("name", [*SOUND, "examples/kiosk", "advice/page-on-connect"])
def test_there_is_no_finding_on_shipped_policies(name: str) -> None:
    file = shared("rules") / f"{name}.yaml"
    assert lint(load_policy(file), locate) == ()  # type: ignore[arg-type]  # a checkout's file is a Path


@pytest.mark.parametrize(
    ("name", "code"), [("exclude-connect", "excludes-connect"), ("bypass-connect", "bypasses-connect")]
)
def test_the_advice_is_told_its_cost(name: str, code: str) -> None:
    file = shared("rules") / "advice" / f"{name}.yaml"
    found = lint(load_policy(file), locate)  # type: ignore[arg-type]
    assert {one.code for one in found} == {code}
    assert all("tunnel" in one.why or "CONNECT" in one.why for one in found)


def test_five_thousand_rules_take_a_second_or_so(tmp_path: Path) -> None:
    lines = ["access:"]
    for n in range(0, 5000, 5):
        lines += [
            f"  - {{when: {{host: [h{n}.example, g{n}.example]}}, action: block}}",
            f"  - {{when: {{url: [https://i{n}.example/p]}}, action: block}}",
            f"  - {{when: {{host: [j{n}.example], client: [10.{n % 250}.0.0/16]}}, {MOVED}}}",
            f"  - {{when: {{host: [k{n}.example], user: [u{n}]}}, unless: [{{method: [POST]}}], action: allow}}",
            f"  - {{when: {{host: [l{n}.example], mime: [video/x{n}]}}, action: block}}",
        ]
    loaded = policy(tmp_path, "\n".join(lines))
    begun = time.process_time()
    found = lint(loaded, locate)
    assert time.process_time() - begun < 10  # about 1 s; the machine may be busy, or another
    assert found == ()
