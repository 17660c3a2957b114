"""What adapters and children did is counted, over reloads, and told as how they are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from icapd.adapters.clam_replies import database_time
from icapd.adapters.counts import AdapterCounts
from icapd.adapters.model import State
from icapd.content.model import Shape
from icapd.verdicts import Finding, Kind, Verdict
from tests.adapters.scanning import Bytes, loaded, policy_of, request, scanners
from tests.reactor import run

if TYPE_CHECKING:
    from pathlib import Path


async def says(xaction: Any) -> Verdict:
    content = xaction.body.read(0, 10)
    if content == b"raise":
        raise ZeroDivisionError
    return Verdict((Finding(Kind.MALWARE, "Bad", "x"),) if content == b"bad" else ())


def test_adapters_are_counted_by_what_they_said(tmp_path: Path) -> None:
    one = scanners(policy_of(tmp_path), loaded("good", says))
    for content in (b"a", b"b", b"bad", b"raise", b"a"):
        run(lambda: one.scan(request(), Shape(), Bytes(content)))  # noqa: B023
    counts = one._cache.statistics.scans.adapters["good"]
    assert counts == AdapterCounts(clean=2, found=1, errors=1, seconds=counts.seconds)  # the last was known
    assert 0 <= counts.seconds < 10


def test_an_adapter_that_does_not_tell_is_up_and_one_that_fails_to_tell_is_not(tmp_path: Path) -> None:
    plain, tells, fails = (loaded(name, says) for name in ("plain", "tells", "fails"))
    down = State(up=False, why="no answer", version="V 1", database=5.0)
    tells.adapter.state = lambda: down  # type: ignore[attr-defined]
    fails.adapter.state = lambda: 1 / 0  # type: ignore[attr-defined]
    states = [state for _, state in scanners(policy_of(tmp_path), plain, tells, fails).states()]
    assert states[0].up
    assert states[1] is down
    assert (states[2].up, states[2].why) == (False, "ZeroDivisionError: division by zero")


def test_the_age_of_clamavs_database_is_in_its_version() -> None:
    expected = time.mktime((2026, 11, 4, 9, 21, 16, 0, 0, -1))
    assert database_time("ClamAV 1.4.3/27822/Wed Nov  4 09:21:16 2026") == expected
    for text in ("", "ClamAV 1.4.3", "ClamAV 0.0/0/never", "ClamAV 1/2/Wed Abc  4 09:21:16 2026"):
        assert database_time(text) is None
