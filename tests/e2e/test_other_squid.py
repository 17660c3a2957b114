"""The demo's requests, and bodies around Squid's limits, through a newer Squid than the system's.

`tests/squids/get` fetches it; all of tests/e2e goes through it with `pytest tests/e2e --squid PROGRAM`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from icapd.demo.complaints import complaints
from icapd.demo.exchange import Fetch
from icapd.demo.lab import Lab
from icapd.demo.origin import pattern
from icapd.demo.run import run_case
from icapd.demo.scenario import CASES, PLAN, Case
from icapd.squid import squid_version

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = Path(__file__).parents[1] / "squids" / "get"
PATIENCE = 60  # s for the mirror; afterwards it is in the cache


def other_squid() -> str:
    """The path of a Squid 6. Skips the test, with the reason, if it cannot be had."""
    if os.environ.get("ICAPD_TEST_SQUID"):
        pytest.skip("all of tests/e2e goes through another Squid already")
    try:
        done = subprocess.run([GET], capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"no newer Squid: the mirror took longer than {PATIENCE} s")
    if done.returncode:
        pytest.skip(f"no newer Squid: {done.stderr.strip()}")
    return done.stdout.strip()


@pytest.fixture(scope="module")
def newer() -> Iterator[Lab]:
    squid = other_squid()
    assert squid_version(squid).startswith("6.")
    directory = Path(tempfile.mkdtemp(prefix="icapd-e2e-"))
    try:
        with Lab(directory, PLAN, squid=squid) as lab:
            yield lab
            assert complaints(lab.site.logs / "cache.log") == []
    finally:
        shutil.rmtree(directory)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_it_does_as_the_older_one(newer: Lab, case: Case) -> None:
    assert run_case(case, newer).differences == ()


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 3_000_000])
def test_bodies_arrive_whole(newer: Lab, size: int) -> None:
    for url in ("http://allowed.demo.test:$http", "https://allowed.demo.test:$https"):
        assert Fetch(newer)(f"{url}/bytes/{size}").seen.body == pattern(size)
