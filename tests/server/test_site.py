"""What connections share: ids, the banner, one generation at a time, reports of loss."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import TYPE_CHECKING, cast

from twisted.logger import capturedLogs

from icapd.events import DecisionLog
from icapd.server.site import load_generation
from tests.server.asking import answers, options, reqmod
from tests.server.conftest import connected, ticks

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from icapd.server.lifetime import Lifetime
    from icapd.server.site import Site


def test_ids_are_unique_and_easy_to_read_out(site: Site) -> None:
    ids = {site.next_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"[a-z2-7]{8}-[0-9a-f]+", text) for text in ids)


def test_another_generation_changes_the_istag_of_every_answer(site: Site) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(options())
    site.replace(dataclasses.replace(site.generation, istag=b"icapd-other"))
    protocol.dataReceived(options() + reqmod())
    first, second, third = answers(link.sent, "OPTIONS", "OPTIONS", "REQMOD")
    assert first.get("istag") == f'"icapd-{site.generation.policy.digest}"'
    assert second.get("istag") == third.get("istag") == '"icapd-other"'


def test_the_istag_is_of_the_policy(site: Site, tmp_path: Path) -> None:
    same = load_generation(site.config).istag
    assert same == site.generation.istag
    (tmp_path / "policy.yaml").write_text("{access: []}")
    assert load_generation(site.config).istag != same


def test_the_date_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("email.utils.formatdate", lambda **_: "Tue, 14 Nov 2023 22:13:20 GMT")
    before = site.banner
    site.on_tick()
    assert b"Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n" in site.banner.lines(close=False)
    assert site.banner is not before


def test_a_tick_writes_the_log_out(site: Site, tmp_path: Path) -> None:
    protocol, _ = connected(site)
    protocol.dataReceived(reqmod())
    site.on_tick()
    assert (tmp_path / "decisions.log").read_text().count("\n") == 1


def test_lost_lines_are_reported_now_and_then(site: Site) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    site.decisions = DecisionLog(descriptor)
    protocol, _ = connected(site)
    with capturedLogs() as logs:
        for _ in range(3):
            protocol.dataReceived(reqmod())
            ticks(site, 11)
        ticks(site, 30)
    os.close(descriptor)
    assert [event["count"] for event in logs] == [1, 2, 3]


def test_deadlines_of_very_many_connections_are_looked_at_in_parts(site: Site) -> None:
    checked: list[int] = []

    class Idle:
        def __init__(self, number: int) -> None:
            self.number = number

        def check_deadline(self) -> None:
            checked.append(self.number)

    many = [Idle(number) for number in range(10_000)]
    site.connections.update(cast("list[Lifetime]", many))
    site.on_tick()
    assert len(checked) == 1_250
    gone = next(each for each in many if each.number not in checked)
    site.connections.discard(cast("Lifetime", gone))
    for _ in range(8):
        site.on_tick()
    assert {*checked, gone.number} == set(range(10_000))
    assert gone.number not in checked
