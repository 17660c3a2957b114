"""Squid signs with an intermediate, and sends the chain: clients need to trust no more than the root."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from icapd.pki import BumpCa, make_intermediate, make_root
from tests.squid.lab import LOCALHOST, Lab, running_lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from icapd.pki import KeyKind


def make(directory: Path, key: KeyKind, permit: tuple[str, ...] = ()) -> BumpCa:
    now = datetime.now(UTC)
    paths = BumpCa(directory / "bump.pem", directory / "bump.crt")
    root = make_root(paths.pem, name="Root of Test", now=now, key=key)
    return make_intermediate(
        paths, name="Intermediate of Test", now=now, days=300, root=root.pem, key=key, permit=permit
    )


@pytest.fixture(scope="module", params=["rsa", "ec"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    def make_ca(directory: Path) -> BumpCa:
        return make(directory, request.param, ("allowed.test", "blocked.test"))

    with running_lab(key="ec", log_formats=("icapd",), make_ca=make_ca) as lab:
        yield lab


@pytest.mark.parametrize("host", ["allowed", "blocked"])
def test_curl_trusts_the_root_alone(lab: Lab, host: str) -> None:
    seen = lab.fetch(f"https://{host}.test:{lab.https.port}/")
    assert seen.exit == 0
    assert seen.status == (200 if host == "allowed" else 403)
    assert "Intermediate of Test" in seen.issuer


def test_what_is_not_permitted_is_refused_by_the_client(lab: Lab) -> None:
    seen = lab.fetch(f"https://other.test:{lab.https.port}/")
    assert seen.exit == 60
    assert lab.https.heads == []


def test_the_chain_is_sent_without_the_root_being_known(lab: Lab) -> None:
    done = subprocess.run(
        ["openssl", "s_client", "-proxy", f"{LOCALHOST}:{lab.bump_port}", "-showcerts",
         "-connect", f"allowed.test:{lab.https.port}", "-servername", "allowed.test"],
        input="", capture_output=True, text=True, check=False, timeout=20,
    ).stdout  # fmt: skip
    assert done.count("BEGIN CERTIFICATE") >= 2
    assert "s:CN = Intermediate of Test" in done
