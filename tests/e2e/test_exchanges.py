"""Corners of HTTP through Squid and icapd: no body, conditions, chunks, Expect, persistence, odd URLs."""

import pytest

from icapd.demo.exchange import Fetch
from icapd.demo.origin import ETAG, pattern

BOTH = pytest.mark.parametrize("url", ["http://open.lab.test:$http", "https://open.lab.test:$https"])


@BOTH
def test_head_has_the_length_and_no_body(fetch: Fetch, url: str) -> None:
    exchange = fetch(f"{url}/bytes/70000", "--head")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200)
    assert exchange.seen.header("Content-Length") == "70000"
    assert exchange.record("respmod", "HEAD").action == "allow"


@BOTH
def test_not_modified_passes(fetch: Fetch, url: str) -> None:
    exchange = fetch(f"{url}/etag", "-H", f"If-None-Match: {ETAG}")
    assert (exchange.seen.exit, exchange.seen.status, exchange.seen.body) == (0, 304, b"")
    assert exchange.seen.header("ETag") == ETAG


@BOTH
@pytest.mark.parametrize("status", [201, 204, 301, 404, 500, 503])
def test_statuses_of_the_origin_pass(fetch: Fetch, url: str, status: int) -> None:
    exchange = fetch(f"{url}/status/{status}")
    assert (exchange.seen.exit, exchange.seen.status) == (0, status)


@BOTH
def test_a_body_with_trailers_passes(fetch: Fetch, url: str) -> None:
    """Squid 5.7 drops the trailer fields themselves, with and without icapd."""
    exchange = fetch(f"{url}/trailers")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200)
    assert exchange.seen.body == pattern(2000)


@BOTH
def test_expect_continue(fetch: Fetch, url: str) -> None:
    exchange = fetch(f"{url}/echo", "--data-binary", "x" * 3000, "-H", "Expect: 100-continue")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200)
    assert exchange.requests[0].body == b"x" * 3000


@BOTH
def test_many_requests_on_one_client_connection(fetch: Fetch, url: str) -> None:
    """40 requests by one curl, which keeps the first one's body."""
    more = [part for n in range(1, 40) for part in (f"{url}/bytes/{n * 100}", "-o", "/dev/null")]
    exchange = fetch(f"{url}/bytes/77", *more)
    assert exchange.seen.exit == 0
    assert len(exchange.requests) == 40
    assert exchange.seen.body == pattern(100)
    exchange.record("respmod")
    assert len(exchange.records("respmod")) == 40
    assert len(exchange.records(method="CONNECT")) == (1 if url.startswith("https") else 0)


@pytest.mark.parametrize(
    "target",
    [
        "/secret",
        "/secret/",
        "/secret/x?y",
        "/%73ecret/x",
        "/./secret/x",
        "/a/../secret/x",
        "//secret/x",
        "/secret%2Fx",
        "/secret;v=1/x",
    ],
)
def test_other_spellings_of_a_blocked_url(fetch: Fetch, target: str) -> None:
    """Whatever is let through must not have been read as /secret by the origin."""
    exchange = fetch(f"http://paths.lab.test:$http{target}", "--path-as-is")
    if exchange.seen.status == 403:
        assert exchange.requests == ()
    else:
        assert exchange.requests[0].target in {"//secret/x", "/secret%2Fx", "/secret;v=1/x"}


def test_odd_urls_are_logged_readably_and_pass(fetch: Fetch) -> None:
    exchange = fetch("http://open.lab.test:$http/caf%C3%A9/%E4%B8%AD?q=%22%3Cb%3E&r=a|b", "--path-as-is")
    assert exchange.seen.status == 200
    assert exchange.requests[0].target.startswith("/caf%C3%A9/%E4%B8%AD?q=%22%3Cb%3E")
    assert exchange.record().action == "allow"


def test_raw_utf8_in_a_path_is_escaped_on_the_page(fetch: Fetch) -> None:
    exchange = fetch("http://blocked.lab.test:$http/ä<b>\"'&", "--globoff")
    assert exchange.seen.status == 403
    assert "<b>" not in exchange.seen.text.partition("<body")[2].replace("<b>blocked", "")
    assert exchange.contacts == ()


def test_a_unicode_host_and_its_a_label_are_one_host(fetch: Fetch) -> None:
    """The policy says bücher.lab.test; clients send xn--bcher-kva.lab.test."""
    exchange = fetch("http://xn--bcher-kva.lab.test:$http/", "-X", "DELETE")
    assert exchange.record().rule == "books"
    assert exchange.seen.status == 403


def test_upper_case_and_a_final_dot_do_not_evade(fetch: Fetch) -> None:
    assert fetch("http://BLOCKED.lab.TEST:$http/").seen.status == 403
    exchange = fetch("http://blocked.lab.test.:$http/")
    assert exchange.record().action == "block"
    assert exchange.contacts == ()


def test_a_long_url_passes(fetch: Fetch) -> None:
    exchange = fetch(f"https://open.lab.test:$https/{'long/' * 1000}")
    assert exchange.seen.status == 200


def test_forty_requests_at_a_time(fetch: Fetch) -> None:
    """Half of them to a blocked site, over HTTP and HTTPS, 20 connections at once."""
    urls = [
        f"{scheme}.lab.test:{port}/{n}"
        for n in range(10)
        for port, scheme in (
            ("$http", "http://open"), ("$http", "http://blocked"),
            ("$https", "https://open"), ("$https", "https://blocked"),
        )
    ]  # fmt: skip
    more = [part for url in urls[1:] for part in (url, "-o", "/dev/null")]
    exchange = fetch(urls[0], *more, "--parallel", "--parallel-immediate", "--parallel-max", "20")
    assert exchange.seen.exit == 0
    assert sorted(request.target for request in exchange.requests) == sorted([f"/{n}" for n in range(10)] * 2)
    blocked = [record for record in exchange.records() if record.action == "block"]
    assert len(blocked) == 20
    assert {record.rule for record in blocked} == {"blocked site"}
