"""The doctor sends each receiver one message; the other probes are tested by tests/e2e/test_doctor.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from icapd.doctor.receivers import Receivers
from icapd.recording import EventOptions
from tests.rsyslog import RSYSLOGD, Rsyslog, free_port, until

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.doctor.bench import Bench
    from icapd.doctor.model import Outcome


def look(*receivers: str) -> Outcome:
    events = EventOptions.model_validate({"syslog": [{"to": one} for one in receivers]})
    return Receivers().look(cast("Bench", SimpleNamespace(config=SimpleNamespace(events=events))))


@pytest.mark.skipif(RSYSLOGD is None, reason="needs rsyslogd")
def test_each_gets_a_message(tmp_path: Path) -> None:
    rsyslog = Rsyslog(tmp_path)
    rsyslog.start()
    udp, tcp = f"udp://127.0.0.1:{rsyslog.udp}", f"tcp://127.0.0.1:{rsyslog.tcp}"
    try:
        assert look(udp, tcp).text == f"{udp} was sent it, {tcp} has read it"
        until(lambda: rsyslog.count() == 2, "they did not arrive")
    finally:
        rsyslog.stop()
    assert [line[3] for line in rsyslog.lines()] == ["test", "test"]


def test_who_does_not_answer_is_a_fault() -> None:
    to = f"tcp://127.0.0.1:{free_port()}"
    outcome: Any = look(to)
    assert (outcome.level, outcome.text) == ("fault", f"{to}: Connection refused")
    assert look().text == "none is configured"
