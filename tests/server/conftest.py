"""A site with a real policy, and connections to it over doubles of the transport (see doubles.py)."""

from __future__ import annotations

import functools
import json
import os
from typing import TYPE_CHECKING

import pytest

from icapd.config import load_config
from icapd.events import DecisionLog
from icapd.server.connection import IcapProtocol
from icapd.server.site import Site, load_generation
from tests.server.doubles import Link

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLICY = {
    "access": [
        {"name": "bad", "when": {"host": ["bad.example"]}, "action": "block"},
        {"name": "inside", "when": {"host": ["10.0.0.0/8"]}, "action": "block"},
        {
            "name": "old",
            "when": {"host": ["old.example"]},
            "action": {"redirect": "https://new.example/?from={url}"},
        },
    ],
    "tls": [{"name": "bank", "when": {"host": ["bank.example"]}, "action": "splice"}],
}
LIMITS = {"head": "2", "body": "3", "idle": "61", "linger": "1"}


def new_site(
    directory: Path,
    *,
    policy: dict[str, object] | None = None,
    delivery: dict[str, str] | None = None,
    spool: dict[str, str] | None = None,
    **limits: str,
) -> Site:
    """Make a site whose files are in `directory`; other keyword arguments are limits."""
    (directory / "policy.yaml").write_text(json.dumps(policy or POLICY))
    document = {
        "listen": ["icap://127.0.0.1:0"],
        "policy": "policy.yaml",
        "limits": LIMITS | limits,
        "delivery": delivery or {},
        "spool": spool or {},
    }
    (directory / "icapd.yaml").write_text(json.dumps(document))
    config = load_config(directory / "icapd.yaml")
    log = os.open(directory / "decisions.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return Site(config, load_generation(config), DecisionLog(log))


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[..., Site]:
    return functools.partial(new_site, tmp_path)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return new_site(tmp_path)


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One site for all examples of a property."""
    return new_site(tmp_path_factory.mktemp("site"))


def connected(site: Site) -> tuple[IcapProtocol, Link]:
    """A new connection to `site` over a double."""
    protocol, link = IcapProtocol(site), Link()
    protocol.makeConnection(link)  # type: ignore[no-untyped-call]
    return protocol, link


def ticks(site: Site, seconds: float) -> None:
    """Let `seconds` pass."""
    for _ in range(int(seconds * 2)):
        site.on_tick()
