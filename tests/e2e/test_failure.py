"""icapd gone: Squid fails closed, and all is well again when icapd is back. In a lab of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from icapd.demo.exchange import Fetch
from icapd.demo.lab import Lab, squid_program
from icapd.demo.scenario import PLAN


@pytest.fixture
def fetch() -> Iterator[Fetch]:
    directory = Path(tempfile.mkdtemp(prefix="icapd-e2e-"))
    try:
        with Lab(directory, PLAN, squid=squid_program()) as own:
            yield Fetch(own)
    finally:
        shutil.rmtree(directory)


def test_a_killed_icapd_fails_closed_and_recovers(fetch: Fetch) -> None:
    http, https = "http://allowed.demo.test:$http/", "https://allowed.demo.test:$https/"
    assert fetch(http).seen.status == 200
    fetch.lab.icapd.kill()
    for url in (http, https):
        exchange = fetch(url)
        assert exchange.seen.status == 500
        assert exchange.seen.header("X-Squid-Error").startswith("ERR_ICAP_FAILURE")
        assert exchange.contacts == ()
    tunnel = fetch(https, port="plain")
    assert tunnel.seen.exit != 0
    assert tunnel.contacts == ()
    fetch.lab.start_icapd()
    for url in (http, https):
        assert fetch(url).seen.status == 200
    assert "Traceback" not in fetch.lab.icapd.output()


def test_sigterm_ends_icapd_with_status_0(fetch: Fetch) -> None:
    assert fetch("http://allowed.demo.test:$http/").seen.status == 200
    assert fetch.lab.icapd.stop() == 0
    assert fetch("http://allowed.demo.test:$http/").seen.status == 500
