"""A finding shows its place, its reasons and the command that proves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.policy.finding import Finding, arguments_of, place_of
from icapd.policy.question import Answered, Question
from icapd.transaction import Point
from tests.policy.asking import policy
from tests.policy.linting import decides, findings

if TYPE_CHECKING:
    from pathlib import Path


def test_places() -> None:
    assert place_of("/a/b.yaml:7") == ("/a/b.yaml", 7)
    assert place_of("memory") == ("memory", 0)
    assert Finding("p.yaml", 0, "note", "x", "what").text() == "p.yaml: note: what"
    assert (
        Finding("p.yaml", 3, "error", "x", "what", "why", "mend").text()
        == "p.yaml:3: error: what — why — mend"
    )
    assert Finding("p.yaml", 3, "error", "x", "what").command("p.yaml") is None


def test_every_fact_becomes_an_option() -> None:
    question = Question(
        "GET",
        "https://a.example/x y",
        0.0,
        (("A", "b c"),),
        (("X-Client-IP", "10.0.0.1"), ("X-Client-Username", "bob")),
        ("g", "h"),
        "s.example",
        "c.example",
        3128,
        response=Answered(404, (("C", "d"),), 5),
    )
    finding = Finding("p.yaml", 3, "error", "x", "what", proof=question)
    assert finding.command("p q.yaml") == (
        "icapd explain -c 'p q.yaml' --client 10.0.0.1 --user bob --sni s.example --connect-host c.example "
        "--proxy-port 3128 --group g --group h --at 1970-01-01T00:00+00:00 -H 'A: b c' --status 404 "
        "--response-header 'C: d' --response-size 5 GET 'https://a.example/x y'"
    )
    assert finding.as_json("p.yaml")["explain"].startswith("icapd explain -c p.yaml ")


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
