"""One Squid, one icapd and one pair of origins for all of tests/e2e; each test asks through them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from icapd.demo import site as demo_site
from icapd.demo.complaints import complaints
from icapd.demo.exchange import Fetch
from icapd.demo.lab import Lab, squid_program
from icapd.demo.plan import Plan, ProxyPort
from tests.e2e.intercepting import Intercepting
from tests.e2e.network import Network

if "ICAPD_TEST_WORKERS" in os.environ:  # every lab's icapd then has as many
    demo_site._ICAPD_YAML.template += f"workers: {os.environ['ICAPD_TEST_WORKERS']}\n"

NAMES = (
    "open", "blocked", "moved", "updates", "excluded", "excluded-moved", "connect-bypass", "closed",
    "paths", "bank", "users", "readonly", "help", "xn--bcher-kva", "named-bank", "cut",
)  # fmt: skip
POLICY = """\
bypass:
  - name: connect bypass
    when: {method: [CONNECT], host: [connect-bypass.lab.test]}
  - name: updates
    when: {host: [updates.lab.test]}
access:
  - name: excluded page
    when: {host: [excluded.lab.test]}
    unless: [{method: [CONNECT]}]
    action: block
  - name: excluded redirect
    when: {host: [excluded-moved.lab.test]}
    unless: [{method: [CONNECT]}]
    action: {redirect: "https://help.lab.test:$https/?from={url}"}
  - name: blocked site
    when: {host: [blocked.lab.test, blocked.lab.dev, connect-bypass.lab.test, updates.lab.test]}
    action: block
  - name: moved site
    when: {host: [moved.lab.test]}
    action: {redirect: "https://help.lab.test:$https/?from={url}&rule={rule}&method={method}"}
  - name: closed, reading
    when: {host: [closed.lab.test], method: [GET, HEAD]}
    action: allow
  - name: closed, the rest
    when: {host: [closed.lab.test]}
    action: block
  - name: secret path
    when: {url: ["http://paths.lab.test:$http/secret", "https://paths.lab.test:$https/secret"]}
    action: block
  - name: moved path
    when: {url: ["https://paths.lab.test:$https/moved"]}
    action: {redirect: "https://help.lab.test:$https/?from={url}"}
  - name: read only
    when: {host: [readonly.lab.test], method: [POST, PUT]}
    action: block
  - name: not for eve
    when: {host: [users.lab.test], user: [eve]}
    action: block
  - name: books
    when: {host: ["bücher.lab.test"], method: [DELETE]}
    action: block
  - name: leads inside
    when: {host: [127.0.0.2], method: [PATCH]}
    action: block
tls:
  - name: banking
    when: {host: [bank.lab.test]}
    action: splice
  - name: named bank
    when: {host: [named-bank.lab.test]}
    action: splice_if_sni_matches
  - name: cut
    when: {host: [cut.lab.test]}
    action: terminate
  - name: rest
    action: bump
"""
# The third port asks for a name and a password; the program lets in whoever's password is "secret".
SQUID_LINES = """\
auth_param basic program $directory/passwords.sh
auth_param basic children 1 startup=1
auth_param basic realm lab
acl at_users_port localport $users
acl named proxy_auth REQUIRED
http_access deny at_users_port !named
"""
PASSWORDS = """#!/bin/sh
while read -r name password; do
  case "$password" in *ecret) echo OK;; *) echo ERR;; esac
done
"""
PLAN = Plan(
    policy=POLICY,
    names=(*(f"{name}.lab.test" for name in NAMES), "blocked.lab.dev"),  # all of .dev is HSTS in browsers
    uncertified=("uncertified.lab.test",),
    proxy_ports=(ProxyPort("bump", bump=True), ProxyPort("plain", bump=False), ProxyPort("users", bump=True)),
    squid_lines=SQUID_LINES,
)


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """Not pytest's own, which is closed to the user that Squid becomes when root starts it."""
    path = Path(tempfile.mkdtemp(prefix="icapd-e2e-"))
    path.chmod(0o755)
    yield path
    if not os.environ.get("ICAPD_KEEP_LAB"):
        shutil.rmtree(path)


@pytest.fixture(scope="session")
def lab(directory: Path) -> Iterator[Lab]:
    passwords = directory / "passwords.sh"
    passwords.write_text(PASSWORDS)
    passwords.chmod(0o755)
    with Lab(directory, PLAN, squid=squid_program()) as lab:
        yield lab
    assert complaints(lab.site.logs / "cache.log") == []


@pytest.fixture(scope="session")
def intercepting() -> Iterator[Intercepting]:
    """A second lab, in network namespaces where the machine allows them (root); else without interception."""
    directory = Path(tempfile.mkdtemp(prefix="icapd-e2e-"))
    try:
        network = Network()
    except OSError:
        network = None
    try:
        with Intercepting(directory, network) as intercepting:
            yield intercepting
    finally:
        if network is not None:
            network.close()
        if not os.environ.get("ICAPD_KEEP_LAB"):
            shutil.rmtree(directory)


@pytest.fixture
def fetch(lab: Lab) -> Fetch:
    return Fetch(lab)


@pytest.fixture(autouse=True)
def _quiet_programs(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test: no traceback in icapd, no fault in an origin."""
    yield
    if "lab" in request.fixturenames:
        lab: Lab = request.getfixturevalue("lab")
        assert "Traceback" not in lab.icapd.output()
        assert lab.contacts.faults == []
