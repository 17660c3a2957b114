"""The seed document, "Processing of standard HTTP messages", step by step."""

import pytest

from icapd.demo.exchange import Fetch
from icapd.demo.origin import pattern


def test_1_the_users_request_is_relayed_to_the_proxy_and_to_icapd(fetch: Fetch) -> None:
    exchange = fetch("http://open.lab.test:$http/step1?x=1")
    record = exchange.record(method="GET")
    assert record.url == exchange.url
    assert record.all["client"] == "127.0.0.1"


def test_2_access_rules_are_asked_about_the_resource(fetch: Fetch) -> None:
    exchange = fetch("http://blocked.lab.test:$http/")
    record = exchange.record(method="GET")
    assert (record.action, record.rule, record.all["stage"]) == ("block", "blocked site", "access")
    assert ".yaml:" in record.all["source"]


def test_3_block_shows_the_page(fetch: Fetch) -> None:
    exchange = fetch("http://blocked.lab.test:$http/some/page")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 403)
    assert exchange.seen.header("Content-Type").startswith("text/html")
    assert exchange.seen.header("Cache-Control") == "no-store"
    assert "blocked site" in exchange.seen.text
    assert exchange.record().id in exchange.seen.text
    assert "<script" not in exchange.seen.text
    assert exchange.contacts == ()


def test_3_redirect_redirects(fetch: Fetch) -> None:
    exchange = fetch("http://moved.lab.test:$http/a%20b?c=d&e=%26")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 302)
    location = exchange.lab.site.fill(
        "https://help.lab.test:$https/?from=http%3A%2F%2Fmoved.lab.test%3A$http%2Fa%2520b%3Fc%3Dd%26e%3D%2526"
        "&rule=moved%20site&method=GET"
    )
    assert exchange.seen.header("Location") == location
    assert (exchange.record().action, exchange.record().rule) == ("redirect", "moved site")
    assert exchange.contacts == ()


def test_4_allow_sends_the_request_to_the_origin(fetch: Fetch) -> None:
    """Scanning of the request by protection rules comes with issue 4; today it goes on unchanged."""
    exchange = fetch("http://open.lab.test:$http/echo", "--data-binary", "a=1&b=2", "-H", "X-Kept: yes")
    assert exchange.record(method="POST").action == "allow"
    [request] = exchange.requests
    assert exchange.connections == 1
    assert (request.method, request.target, request.body) == ("POST", "/echo", b"a=1&b=2")
    assert request.header("X-Kept") == "yes"


def test_5_the_response_goes_through_icapd_and_reaches_the_user_unchanged(fetch: Fetch) -> None:
    """Scanning of the response comes with issue 4; today RESPMOD gives it back as it was."""
    exchange = fetch("http://open.lab.test:$http/bytes/5000")
    record = exchange.record("respmod")
    assert (record.action, record.url) == ("allow", exchange.url)
    assert record.all["status"] == 204
    assert exchange.seen.body == pattern(5000)


def test_6_the_traffic_is_plain(fetch: Fetch) -> None:
    """An eavesdropper reads it: no TLS handshake is anywhere, and the request line is what the origin got."""
    exchange = fetch("http://open.lab.test:$http/in-the-clear")
    assert [type(contact).__name__ for contact in exchange.contacts] == ["Accepted", "RequestReceived"]
    assert exchange.seen.connect == 0


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "PUT", "TRACE"])
def test_every_method_of_the_document_is_decided(fetch: Fetch, method: str) -> None:
    how = ("--head",) if method == "HEAD" else ("-X", method)
    exchange = fetch("http://blocked.lab.test:$http/", *how)
    assert exchange.seen.status == 403
    assert exchange.record(method=method).action == "block"
    assert exchange.contacts == ()
