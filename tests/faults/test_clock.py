"""A wall clock that jumps: deadlines do not follow it, schedules do, and nothing that is over comes back."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from icapd.server import quick as quick_module
from icapd.server import site as site_module
from icapd.server.tunnels import TICKET_SECONDS
from tests.server.asking import answers, reqmod
from tests.server.conftest import connected, new_site, ticks
from tests.server.test_tunnels import inside, ticketed

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.server.site import Site

DAY = 86400.0
NOON = 1_795_521_600.0  # Tuesday, 2026-11-24, 12:00 UTC
POLICY: dict[str, object] = {
    "access": [
        {"name": "t", "when": {"schedule": ["tue UTC"], "host": ["bad.example"]}, "action": "block"},
    ],
}


class Wall:
    """The time of day, as the test says."""

    def __init__(self) -> None:
        self.now = NOON

    def time(self) -> float:
        return self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    clock = Wall()
    for module in (site_module, quick_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=clock.time, monotonic=time.monotonic))
    return clock


@pytest.mark.parametrize("jump", [DAY, -DAY])
@pytest.mark.parametrize("beginning", [b"REQMOD icap:", reqmod(method="POST", body=b"5\r\nab")])
def test_deadlines_do_not_follow_it(tmp_path: Path, wall: Wall, jump: float, beginning: bytes) -> None:
    site = new_site(tmp_path)
    protocol, link = connected(site)
    protocol.dataReceived(beginning)
    ticks(site, 1)
    wall.now += jump
    ticks(site, 0.5)
    assert link.sent == b""
    ticks(site, 3)
    (answer,) = answers(link.sent, "REQMOD")
    assert answer.status == 408


def asked(site: Site, *requests: bytes) -> list[bool]:
    """Whether each was blocked."""
    protocol, link = connected(site)
    protocol.dataReceived(b"".join(requests))
    return [answer.status == 200 for answer in answers(link.sent, *["REQMOD"] * len(requests))]


def test_schedules_follow_it_there_and_back(tmp_path: Path, wall: Wall) -> None:
    site = new_site(tmp_path, policy=POLICY)
    found = []
    for jump in (0, DAY, -DAY, -DAY, DAY):
        wall.now += jump
        found += asked(site, reqmod("http://bad.example/"))
        ticks(site, 0.5)
    assert found == [True, False, True, False, True]
    assert len((tmp_path / "decisions.log").read_text().splitlines()) == 5


@pytest.mark.parametrize("jump", [DAY, -DAY, -60.0])
def test_a_ticket_ends_at_a_jump_and_does_not_revive(jump: float) -> None:
    tunnels = ticketed()  # at 1000 s
    assert "did not come" in str(inside(tunnels, "https://a.example/", 1000.0 + jump))
    events = [json.loads(line + "}")["event"] for line in tunnels.events(1000.0 + jump, "abc")]
    assert "ticket-unused" in events
    assert "did not come" in str(inside(tunnels, "https://a.example/", 1001.0))


def test_a_small_correction_costs_no_ticket() -> None:
    assert inside(ticketed(), "https://a.example/", 999.0) is None
    assert inside(ticketed(), "https://a.example/", 1000.0 + TICKET_SECONDS - 1) is None
