"""The policy changes under a running Squid: icapd is told to reload, `icapd helper` reads it by itself."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.intercepting import Intercepting

_KEPT = 10.0  # s for which Squid keeps an answer of the helper
_RULE = "tls:\n"
_FIRST = (
    'tls:\n  - {name: changed, when: {host: [other.lab.test]}, unless: [{port: ["1"]}], action: splice}\n'
)


@pytest.fixture
def policy(intercepting: Intercepting) -> Iterator[Path]:
    if intercepting.network is None:
        pytest.skip("interception needs root and network namespaces, which this machine does not give")
    file = intercepting.lab.site.directory / "policy.yaml"
    before = file.read_text()
    yield file
    write(intercepting, file, before)
    time.sleep(_KEPT + 1)


def write(intercepting: Intercepting, file: Path, text: str) -> None:
    """Change the policy, and have icapd adopt it: without its word nothing is spliced."""
    file.write_text(text)
    intercepting.lab.icapd.process.send_signal(signal.SIGHUP)


def shows(intercepting: Intercepting) -> str:
    return intercepting.intercepted(sni="other.lab.test", host="other.lab.test").shows


def test_a_changed_policy_reaches_intercepted_connections(intercepting: Intercepting, policy: Path) -> None:
    """Squid is not reloaded, and remembers answers of its helper for ten seconds."""
    assert shows(intercepting) == "site"
    write(intercepting, policy, policy.read_text().replace(_RULE, _FIRST, 1))
    until = time.monotonic() + _KEPT + 10
    while shows(intercepting) != "unread":
        assert time.monotonic() < until
        time.sleep(0.5)
    write(intercepting, policy, "tls: [{action: splise}]\n")  # a faulty one leaves the last good one
    time.sleep(_KEPT + 1)
    assert shows(intercepting) == "unread"
    assert intercepting.lab.icapd.process.poll() is None
