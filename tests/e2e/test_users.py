"""Proxy authentication: the user's name is in the decision, the password nowhere."""

import base64
from pathlib import Path

import pytest

from icapd.demo.exchange import Fetch

SECRET = "hunter2-secret"
AS_ALICE = ("--proxy-user", f"Alice:{SECRET}")


@pytest.mark.parametrize("url", ["http://users.lab.test:$http/", "https://users.lab.test:$https/"])
def test_without_a_name_squid_asks_for_one(fetch: Fetch, url: str) -> None:
    exchange = fetch(url, port="users")
    assert 407 in (exchange.seen.status, exchange.seen.connect)
    assert exchange.records() == []


@pytest.mark.parametrize("url", ["http://users.lab.test:$http/", "https://users.lab.test:$https/"])
def test_the_user_is_in_every_decision(fetch: Fetch, url: str) -> None:
    exchange = fetch(url, *AS_ALICE, port="users")
    assert exchange.seen.status == 200
    exchange.record("respmod")
    users = {record.all["user"] for point in ("reqmod", "respmod") for record in exchange.records(point)}
    assert users == {"alice"}


@pytest.mark.parametrize("url", ["http://users.lab.test:$http/", "https://users.lab.test:$https/"])
def test_a_rule_about_a_user(fetch: Fetch, url: str) -> None:
    exchange = fetch(url, "--proxy-user", f"eve:{SECRET}", port="users")
    assert exchange.seen.status == 403
    assert exchange.record().rule == "not for eve"
    assert "eve" in exchange.seen.text
    assert exchange.contacts == ()


def test_a_user_with_a_space_and_letters_beyond_ascii(fetch: Fetch) -> None:
    exchange = fetch("http://users.lab.test:$http/", "--proxy-user", f"zoë müller:{SECRET}", port="users")
    assert exchange.seen.status == 200
    assert exchange.record().all["user"] == "zoë müller"


def test_the_password_is_in_no_log(fetch: Fetch) -> None:
    for url in ("http://users.lab.test:$http/", "https://users.lab.test:$https/"):
        fetch(url, *AS_ALICE, port="users").record()
    traces = [SECRET.encode(), base64.b64encode(f"Alice:{SECRET}".encode())]
    for log in filter(Path.is_file, fetch.lab.site.logs.rglob("*")):
        assert not any(trace in log.read_bytes() for trace in traces), log.name


def test_the_origin_does_not_see_the_proxys_credentials(fetch: Fetch) -> None:
    exchange = fetch("http://users.lab.test:$http/", *AS_ALICE, port="users")
    assert exchange.requests[0].header("Proxy-Authorization") == ""
