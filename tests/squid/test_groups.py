"""The real Squid asks its own helper about each group and tells the answer in headers that icapd reads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from icapd.facts import group_header, transaction_of, user_headers
from icapd.transaction import Point
from tests.squid.lab import SQUID, Ask, Lab, running_lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.transaction import Client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path(SQUID).exists() or shutil.which("curl") is None, reason="needs squid-openssl and curl"
    ),
]
# Squid's helpers get their words percent-encoded; BH is "I cannot tell".
HELPER = """#!/bin/sh
while read -r user group; do
  case "$user $group" in
    "alice staff"|"alice Domain%20Users"|"bob Domain%20Users") echo OK;;
    doubt*) echo BH message=down;;
    *) echo ERR;;
  esac
done
"""
PASSWORDS = "#!/bin/sh\nwhile read -r name password; do echo OK; done\n"
BEFORE = """\
auth_param basic program {d}/passwords
auth_param basic children 1 startup=1
auth_param basic realm test
acl named proxy_auth REQUIRED
http_access deny !named
external_acl_type groups ttl=0 negative_ttl=0 cache=0 children-max=1 children-startup=1 %LOGIN {d}/helper
"""
GROUPS = {"staff": "external groups staff", "Domain Users": 'external groups "{d}/domain-users"'}
NAMES = user_headers("X-Client-Username", "auto", GROUPS)


@pytest.fixture(scope="module")
def grouped() -> Iterator[Lab]:
    files = {"helper": HELPER, "passwords": PASSWORDS, "domain-users": "Domain Users\n"}
    with running_lab(key="ec", log_formats=(), before=BEFORE, groups=GROUPS, files=files) as lab:
        yield lab


def client(ask: Ask) -> Client:
    headers = {name.encode(): value.encode("latin-1") for name, value in ask.icap.items()}
    return transaction_of(Point.REQMOD, headers, ask.http.encode("latin-1"), None, 0.0, NAMES).client


@pytest.mark.parametrize(
    ("user", "groups"),
    [("alice", ("staff", "Domain Users")), ("bob", ("Domain Users",)), ("carol", ())],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_request_of_a_user_tells_his_groups(
    grouped: Lab, user: str, groups: tuple[str, ...], scheme: str
) -> None:
    port = grouped.https.port if scheme == "https" else grouped.http.port
    seen = grouped.fetch(f"{scheme}://allowed.test:{port}/", "--proxy-user", f"{user}:x")
    assert (seen.status, seen.body) == (200, "origin")
    clients = [client(ask) for ask in grouped.icap.asks]
    assert len(clients) == (2 if scheme == "https" else 1)
    clients += [client(ask) for ask in grouped.icap.responses]
    assert len(grouped.icap.responses) == 1
    assert [(each.user, each.groups) for each in clients] == [(user, groups)] * len(clients)


def test_users_who_share_a_connection_do_not_share_groups(grouped: Lab) -> None:
    url = f"http://allowed.test:{grouped.http.port}/"
    grouped.fetch(url, "--proxy-user", "alice:x", url, "--next", "-x", f"http://127.0.0.1:{grouped.bump_port}",
                  "--proxy-user", "carol:x", "-sS")  # fmt: skip
    assert [(each.user, each.groups) for each in map(client, grouped.icap.asks)][-1] == ("carol", ())


def test_a_client_cannot_tell_his_groups_himself(grouped: Lab) -> None:
    header = f"{group_header('staff')}: 1"
    url = f"http://allowed.test:{grouped.http.port}/"
    grouped.fetch(url, "-H", header, "--proxy-header", header, "--proxy-user", "carol:x")
    assert client(grouped.icap.asks[0]).groups == ()


def test_where_the_helper_cannot_tell_squid_denies(grouped: Lab) -> None:
    seen = grouped.fetch(f"http://allowed.test:{grouped.http.port}/", "--proxy-user", "doubt:x")
    assert (seen.status, grouped.icap.asks, grouped.http.accepted) == (407, [], 0)


def test_the_second_connect_of_a_splice_tells_them_too(grouped: Lab) -> None:
    seen = grouped.fetch(f"https://spliced.test:{grouped.https.port}/", "--proxy-user", "alice:x")
    assert seen.status == 200
    groups = [client(ask).groups for ask in grouped.icap.asks]
    assert groups == [("staff", "Domain Users")] * 2
