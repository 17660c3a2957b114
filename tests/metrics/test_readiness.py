"""Ready or not, and what is amiss."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icapd.metrics.readiness import is_ready, readiness
from icapd.metrics.snapshot import (
    CollectorFacts,
    OutputFacts,
    ReloadFacts,
    ScannerFacts,
    Serving,
    WorkerFacts,
)
from tests.metrics.shots import NOW, full


def test_all_is_well() -> None:
    told = readiness(full())
    assert is_ready(full())
    assert (told["ready"], told["problems"], told["degraded"]) == (True, [], [])
    assert told["reload"] == {"result": "adopted", "time": "2027-01-15T07:59:00Z", "problems": []}
    assert told["scanners"] == [
        {
            "name": "clamd",
            "kind": "clamd",
            "up": True,
            "why": "",
            "on_error": "closed",
            "version": "ClamAV 1.4.3",
            "database": "2027-01-15T06:00:00Z",
            "database_age": 7200,
        }
    ]
    store = {"output": "store", "lag": 0.5, "lag_bytes": 12, "failed": ""}
    assert told["collector"] == {"up": True, "outputs": [store]}
    assert told["workers"] == {"wanted": 2, "ready": 2}
    lists = told["lists"]
    assert isinstance(lists, list)
    assert lists[0]["age"] == 3600


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"draining": True}, "draining"),
        ({"accepting": False}, "starting"),
        ({"workers": (WorkerFacts(0, False, 0, 0),)}, "no worker serves"),
    ],
)
def test_not_ready(change: dict[str, object], problem: str) -> None:
    one = replace(full(), **change)  # type: ignore[arg-type]
    assert not is_ready(one)
    assert readiness(one)["problems"] == [problem]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"serving": Serving((ScannerFacts("clamd", "clamd", "open", False, "no answer"),))},
            "scanner clamd is down (open): no answer",
        ),
        (
            {"workers": (WorkerFacts(0, True, 0, 0), WorkerFacts(1, False, 0, 0))},
            "1 of 2 workers do not serve",
        ),
        ({"reloads": ReloadFacts(0, 1, NOW, 0.1, ("policy.yaml:1: no",))}, "the last reload was refused"),
        ({"collector": CollectorFacts(False)}, "the collector does not run"),
        (
            {"collector": CollectorFacts(True, 0, (OutputFacts("udp://a:514", failed="no route"),))},
            "udp://a:514 takes no records: no route",
        ),
    ],
)
def test_degraded_is_ready(change: dict[str, object], text: str) -> None:
    one = replace(full(), **change)  # type: ignore[arg-type]
    assert is_ready(one)
    assert readiness(one)["degraded"] == [text]
