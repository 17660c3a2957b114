"""What the seed document tells admins to do about CONNECT, and what it says cannot be done."""

import socket

import pytest

from icapd.demo.contacts import HelloReceived
from icapd.demo.exchange import Fetch


def test_exclusion_connect_passes_and_the_request_inside_gets_the_page(fetch: Fetch) -> None:
    """`unless: [{method: [CONNECT]}]`: the document's first advice."""
    exchange = fetch("https://excluded.lab.test:$https/x")
    assert (exchange.seen.exit, exchange.seen.connect, exchange.seen.status) == (0, 200, 403)
    assert "excluded page" in exchange.seen.text
    assert exchange.record(method="GET").rule == "excluded page"
    assert [(r.method, r.action) for r in exchange.records()] == [("CONNECT", "allow"), ("GET", "block")]
    assert exchange.contacts == ()


def test_exclusion_connect_passes_and_the_request_inside_is_redirected(fetch: Fetch) -> None:
    exchange = fetch("https://excluded-moved.lab.test:$https/x?y=z")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 302)
    target = "https://help.lab.test:$https/?from=https%3A%2F%2Fexcluded-moved.lab.test%3A$https%2Fx%3Fy%3Dz"
    assert exchange.seen.header("Location") == exchange.lab.site.fill(target)
    assert exchange.contacts == ()


def test_exclusion_without_decryption_lets_the_site_through(fetch: Fetch) -> None:
    """The price the document names: what CONNECT may do, an undecrypted tunnel may do."""
    exchange = fetch("https://excluded.lab.test:$https/x", port="plain")
    assert exchange.seen.status == 200
    assert exchange.record(method="CONNECT").action == "allow"


def test_exclusion_does_not_spare_plain_http(fetch: Fetch) -> None:
    assert fetch("http://excluded.lab.test:$http/").seen.status == 403


def test_bypass_rule_connect_passes_and_the_request_inside_gets_the_page(fetch: Fetch) -> None:
    """A bypass rule for CONNECT: the document's second advice."""
    exchange = fetch("https://connect-bypass.lab.test:$https/x")
    assert (exchange.seen.exit, exchange.seen.connect, exchange.seen.status) == (0, 200, 403)
    assert exchange.record(method="GET").rule == "blocked site"
    connect = exchange.record(method="CONNECT")
    assert (connect.action, connect.rule, connect.all["stage"]) == ("bypass", "connect bypass", "bypass")
    assert exchange.contacts == ()


def test_no_rule_allows_connect_the_connection_ends(fetch: Fetch) -> None:
    exchange = fetch("https://closed.lab.test:$https/", port="plain")
    assert exchange.seen.exit != 0
    assert exchange.seen.connect != 200
    assert exchange.record(method="CONNECT").rule == "closed, the rest"
    assert exchange.contacts == ()
    assert fetch("http://closed.lab.test:$http/").seen.status == 200


def test_no_rule_allows_connect_under_decryption_no_request_gets_out(fetch: Fetch) -> None:
    exchange = fetch("https://closed.lab.test:$https/")
    assert exchange.seen.status == 403
    assert exchange.record(method="CONNECT").rule == "closed, the rest"
    assert exchange.contacts == ()


def test_impossible_there_a_denied_connect_shows_the_page(fetch: Fetch) -> None:
    """CONNECT is denied, Squid bumps the client alone and serves icapd's page in place."""
    exchange = fetch("https://blocked.lab.test:$https/some/path")
    seen = exchange.seen
    record = exchange.record(method="CONNECT")
    assert (seen.exit, seen.connect, seen.status) == (0, 200, 403)
    assert seen.header("Content-Type").startswith("text/html")
    assert "blocked site" in seen.text
    assert record.id in seen.text
    assert "127.0.0.1" in seen.text
    assert "@Squid" not in seen.text
    assert [r.method for r in exchange.records()] == ["CONNECT"]
    assert exchange.contacts == ()


def test_the_page_on_a_denied_connect_is_the_page_of_plain_http(fetch: Fetch) -> None:
    plain = fetch("http://blocked.lab.test:$http/").seen.text
    tunnel = fetch("https://blocked.lab.test:$https/").seen.text
    assert plain.partition("<body")[0] == tunnel.partition("<body")[0]


def test_impossible_there_a_denied_connect_redirects(fetch: Fetch) -> None:
    exchange = fetch("https://moved.lab.test:$https/")
    assert (exchange.seen.exit, exchange.seen.connect, exchange.seen.status) == (0, 200, 302)
    location = exchange.seen.header("Location")
    assert location.startswith(exchange.lab.site.fill("https://help.lab.test:$https/?from="))
    assert "moved.lab.test" in location
    assert location.endswith("&rule=moved%20site&method=CONNECT")
    assert exchange.record(method="CONNECT").action == "redirect"
    assert exchange.contacts == ()


def test_the_redirect_of_a_denied_connect_can_be_followed(fetch: Fetch) -> None:
    exchange = fetch("https://moved.lab.test:$https/", "--location")
    assert exchange.seen.status == 200
    assert [request.header("Host").partition(":")[0] for request in exchange.requests] == ["help.lab.test"]


def test_a_name_inside_that_differs_from_the_connect_is_judged_too(fetch: Fetch) -> None:
    """The client opens a tunnel to an allowed name and asks a blocked one inside it."""
    exchange = fetch(
        "https://blocked.lab.test:$https/", "--connect-to", "blocked.lab.test:$https:open.lab.test:$https"
    )
    assert exchange.record(method="GET").rule == "blocked site"
    assert exchange.seen.status == 403
    assert exchange.contacts == ()


def test_a_spliced_site_keeps_its_own_certificate(fetch: Fetch) -> None:
    exchange = fetch("https://bank.lab.test:$https/", trust="origin")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200)
    assert HelloReceived("bank.lab.test") in exchange.contacts
    assert {record.method for record in exchange.records()} == {"CONNECT"}


def test_a_site_spliced_under_its_own_name(fetch: Fetch) -> None:
    exchange = fetch("https://named-bank.lab.test:$https/", trust="origin")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200)


def test_a_site_to_be_spliced_under_its_own_name_ends_under_another(fetch: Fetch) -> None:
    exchange = fetch(
        "https://open.lab.test:$https/", "--connect-to", "open.lab.test:$https:named-bank.lab.test:$https"
    )
    assert exchange.seen.exit != 0
    assert exchange.contacts == ()


def test_a_tunnel_that_a_tls_rule_terminates(fetch: Fetch) -> None:
    exchange = fetch("https://cut.lab.test:$https/")
    assert (exchange.seen.exit, exchange.seen.status) != (0, 200)
    assert exchange.seen.exit != 0
    assert exchange.contacts == ()


@pytest.mark.parametrize("host", ["blocked.lab.test", "open.lab.test"])
@pytest.mark.parametrize(
    "said", [b"GET /plain HTTP/1.0\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", bytes(range(200, 256))]
)
def test_what_is_not_tls_gets_nowhere_through_a_decrypting_port(fetch: Fetch, host: str, said: bytes) -> None:
    """Whether the CONNECT is denied or allowed: a tunnel nobody can look into does not open."""
    site, mark = fetch.lab.site, fetch.lab.contacts.mark()
    with socket.create_connection(("127.0.0.1", site.ports["bump"]), 10) as tunnel:
        tunnel.sendall(site.fill(f"CONNECT {host}:$https HTTP/1.1\r\nHost: {host}:$https\r\n\r\n").encode())
        assert tunnel.recv(4096).startswith(b"HTTP/1.1 200 ")
        tunnel.sendall(said)
        tunnel.shutdown(socket.SHUT_WR)
        while answer := tunnel.recv(4096):
            assert b"origin itself" not in answer
    assert fetch.lab.contacts.requests(mark) == ()


@pytest.mark.parametrize("header", ["X-Icapd-Bump: splice", "X-Icapd-Verdict: block", "x-icapd-page: <p>"])
@pytest.mark.parametrize("where", ["--header", "--proxy-header"])
def test_a_forged_icapd_header_is_refused(fetch: Fetch, header: str, where: str) -> None:
    exchange = fetch("https://open.lab.test:$https/", where, header)
    assert exchange.seen.status == 403
    assert exchange.contacts == () or where == "--header"
    assert exchange.requests == ()


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:$icap/", "https://127.0.0.1:$icap/", "http://localhost:$icap/", "http://[::1]:$icap/"],
)
def test_loopback_is_out_of_reach(fetch: Fetch, url: str) -> None:
    exchange = fetch(url, "--insecure")  # Squid 5.7 makes no certificate for an address
    assert exchange.seen.status == 403
    assert exchange.records() == []
    assert exchange.contacts == ()
