"""`icapd why` and `icapd report` on what a real icapd wrote under load, through its log, collector and store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from icapd.cli.main import main
from tests.server.asking import Asking, chunks, reqmod, respmod
from tests.server.working import told, until
from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 40
POLICY: dict[str, Any] = {
    "lists": {"games": {"domains": ["games.txt"], "category": "Games"}},
    "access": [
        {
            "name": "no games",
            "when": {"list": ["games"]},
            "unless": [{"group": ["testers"]}],
            "action": "block",
        },
        {"name": "moved", "when": {"host": ["old.example"]}, "action": {"redirect": "https://new.example/"}},
        {"name": "never", "when": {"host": ["never.example"]}, "action": "block"},
    ],
}


def lines(number: int) -> tuple[str, ...]:
    return ("Allow: 204", f"X-Client-IP: 10.1.2.{number % 4}", f"X-Client-Username: user{number % 3}")


def load(port: int) -> tuple[int, int]:
    """Ask for what is allowed, blocked and redirected, and about responses; return how many of each point."""
    with Asking(port) as asking:
        for number in range(ROUNDS):
            for host in ("a.example", "games.example", "old.example"):
                url = f"http://{host}/{number}"
                asking.ask(reqmod(url, http=(f"Host: {host}",), lines=lines(number)))
            response = respmod(f"http://a.example/{number}", lines=lines(number), body=chunks(b"hello"))
            asking.ask(response, "RESPMOD")
    return 3 * ROUNDS, ROUNDS


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_served_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int) -> None:
    (tmp_path / "games.txt").write_text("games.example\n")
    options: dict[str, Any] = {"workers": str(workers), "control": "control", "events": {"store": "auto"}}
    config = str(tmp_path / "icapd.yaml")

    def report() -> dict[str, Any]:
        main(["report", "-c", config, "--since", "1h", "--json"])
        out = capsys.readouterr().out
        made: dict[str, Any] = json.loads(out) if out else {"totals": {"requests": 0, "responses": 0}}
        return made

    with serving(tmp_path, policy=POLICY, options=options) as served:
        requests, responses = load(served.icap)
        until(lambda: report()["totals"]["requests"] == requests)
        blocked = next(one for one in records(tmp_path) if one.get("rule") == "no games")
        changed = {**POLICY, "access": POLICY["access"][1:]}
        (tmp_path / "policy.yaml").write_text(json.dumps(changed))
        assert told(tmp_path, "reload")["ok"]
        with Asking(served.icap) as asking:
            asking.ask(reqmod(blocked["url"], http=("Host: games.example",), lines=lines(0)))
        until(lambda: report()["totals"]["requests"] == requests + 1)
        made = report()
    totals = made["totals"]
    assert (totals["requests"], totals["responses"]) == (requests + 1, responses)
    assert (totals["blocked"], totals["redirected"], totals["users"], totals["clients"]) == (
        ROUNDS,
        ROUNDS,
        3,
        4,
    )
    assert made["gaps"] == {"missing": 0, "explained": 0, "why": [], "unexplained": 0}
    assert {(one["name"], one["count"]) for one in made["rules"]} == {("no games", ROUNDS), ("moved", ROUNDS)}
    assert [one["name"] for one in made["idle"]] == ["never"]
    assert [one["name"] for one in made["blocked_hosts"]] == ["games.example"]

    assert main(["why", "-c", config, blocked["id"], "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one["record"] == blocked
    assert '"name": "no games"' in one["rule_text"]
    assert one["lists"] == {"same": True, "gone": []}
    assert (one["agrees"], one["explanation"]["rule"]) == (True, "no games")
    assert (one["today"]["changed"], one["today"]["action"], one["today"]["rule"]) == (True, "allow", None)
    assert main(["why", "-c", config, blocked["id"]]) == 0
    text = capsys.readouterr().out
    assert "There is no such rule in it any more." in text
    assert "On the facts that were recorded it decides otherwise today: allow." in text


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "decisions.log").read_text().splitlines()]
