"""Squid's log has the id of a decision of each transaction, whatever icapd answered: plain, decrypted, in tunnels."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from icapd.demo.exchange import Fetch
from icapd.demo.lab import Lab, squid_program
from icapd.demo.plan import Plan, ProxyPort
from tests.server.working import until

if TYPE_CHECKING:
    from collections.abc import Iterator

SQUID_LINES = """\
logformat ids %rm %ru %{X-Icapd-Decision}adapt::<last_h
access_log stdio:$directory/logs/ids.log ids
"""
PLAN = Plan(
    policy="access:\n  - {name: bad, when: {host: [bad.lab.test]}, action: block}\n",
    names=("good.lab.test", "bad.lab.test"),
    proxy_ports=(ProxyPort("bump", bump=True),),
    squid_lines=SQUID_LINES,
)


@pytest.fixture(scope="module")
def own() -> Iterator[Lab]:
    directory = Path(tempfile.mkdtemp(prefix="icapd-e2e-"))
    directory.chmod(0o755)
    with Lab(directory, PLAN, squid=squid_program()) as lab:
        yield lab
    shutil.rmtree(directory)


def logged(log: Path, mark: int, count: int) -> dict[str, str]:
    """The ids that Squid logged behind `mark`, by method."""
    found: dict[str, str] = {}

    def enough() -> bool:
        lines = [line.split() for line in log.read_bytes()[mark:].decode().splitlines()]
        found.update((method, identity) for method, _, identity in lines if method != "-")
        return len(found) >= count

    until(enough)
    return found


@pytest.mark.parametrize(
    ("url", "kinds"),
    [
        ("http://good.lab.test:$http/", {"GET": "respmod"}),
        ("http://bad.lab.test:$http/", {"GET": "reqmod"}),
        ("https://good.lab.test:$https/", {"CONNECT": "reqmod", "GET": "respmod"}),
    ],
)
def test_squid_logs_the_id_of_the_last_decision(own: Lab, url: str, kinds: dict[str, str]) -> None:
    log = own.site.logs / "ids.log"
    mark = log.stat().st_size if log.exists() else 0
    exchange = Fetch(own)(url)
    exchange.record()
    found = logged(log, mark, len(kinds))
    decided = {record.id: record for point in ("reqmod", "respmod") for record in exchange.records(point)}
    assert found.keys() == kinds.keys()
    for method, point in kinds.items():
        record = decided[found[method]]
        assert (record.point, record.method) == (point, method)
